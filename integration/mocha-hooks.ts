/** Prints the logs of the agents of a failed test. Loaded by mocha, see package.json. */
import { takeLogs } from './agent-logs.ts';

export const mochaHooks = {
  afterEach(this: Mocha.Context): void {
    const logs = takeLogs();
    if (this.currentTest?.state === 'failed') process.stderr.write(`${logs}\n`);
  },
};
