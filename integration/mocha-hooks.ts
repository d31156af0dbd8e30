/**
 * Prints the logs of the agents of a failed test, fails a run in which somebody told a secret, and ends
 * one that something left open keeps from ending. Loaded by mocha, see package.json.
 */
import { scanLiveLogs, takeLogs } from './agent-logs.ts';
import { beginToWatch, requireNoSecrets } from './secrets/produced-output.ts';

/** What a test closes in the background is closed by then. */
const endMs = 30_000;

export const mochaHooks = {
  beforeAll(): void {
    beginToWatch();
  },
  afterEach(this: Mocha.Context): void {
    const logs = takeLogs();
    if (this.currentTest?.state === 'failed') process.stderr.write(`${logs}\n`);
  },
  afterAll(): void {
    // One of several that share a run goes on to the next file, and is ended by mocha.
    if (process.env.MOCHA_WORKER_ID === undefined) setTimeout(endAnyway, endMs).unref();
    scanLiveLogs();
    requireNoSecrets();
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
