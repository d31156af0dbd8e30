import assert from 'node:assert/strict';
import { runWaybill } from './run-waybill.ts';

/**
 * A test for each line that is refused as it was typed: with exit code 2 and a sentence that begins so, and without a
 * call to the site.
 */
export function refusesBeforeSending(
  lines: readonly (readonly [line: string, complaint: string])[],
): void {
  for (const [line, complaint] of lines) {
    it(`refuses "${line}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.deepEqual(admin.calls, []);
    });
  }
}
