/**
 * Prints the logs of the agents of a failed test, and ends a run that something left open keeps from
 * ending. Loaded by mocha, see package.json.
 */
import { takeLogs } from './agent-logs.ts';

/** What a test closes in the background is closed by then. */
const endMs = 30_000;

export const mochaHooks = {
  afterEach(this: Mocha.Context): void {
    const logs = takeLogs();
    if (this.currentTest?.state === 'failed') process.stderr.write(`${logs}\n`);
  },
  afterAll(): void {
    setTimeout(endAnyway, endMs).unref();
  },
};

/** A failed test may leave what it began: that must not hide which one it was. */
function endAnyway(): void {
  const open = process.getActiveResourcesInfo().join(', ');
  process.stderr.write(
    `All tests have ended; the run was ended too, though this was open: ${open}\n`,
  );
  process.exit();
}
