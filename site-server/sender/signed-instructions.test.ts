import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testMiniJob, testSendRequest } from '../../shared/testing/test-send-request.ts';
import { SignedInstructions } from './signed-instructions.ts';
import { testSigning } from './testing/test-sending.ts';

const dayMs = 86_400_000;
const validMs = 30 * dayMs;

describe('signed instructions (REP-5)', () => {
  const clock = new FakeClock();
  let nonce = 0;
  const randomBytes = (count: number) => {
    nonce += 1;
    return Buffer.alloc(count, nonce);
  };
  const needs = { signing: testSigning, siteCode: 'CS1', clock, randomBytes };
  const instructions = new SignedInstructions(needs, validMs);
  const job = testMiniJob({ createdAtMs: clock.nowMs() });
  const make = () => instructions.make(job, testSendRequest());
  const expiryOf = (signed: { package?: unknown }) =>
    (JSON.parse(String(signed.package)) as { expiresAtMs: number }).expiresAtMs;

  it('say the same of the package at every try, and are signed anew for each hop', async () => {
    const first = await make();
    await clock.advance(60_000);
    const second = await make();
    assert.deepEqual(second.package, first.package);
    const [one, two] = [first, second].map(({ transfer }) => JSON.parse(String(transfer)));
    assert.notEqual(one.nonce, two.nonce);
    assert.equal(two.signedAtMs - one.signedAtMs, 60_000);
    assert.equal(one.packageInstructionHash, hashOf(first.package as Buffer));
    assert.deepEqual(
      [first.transferSignature, first.packageSignature].map((bytes) => String(bytes)),
      [first.transfer, first.package].map((bytes) =>
        String(Buffer.from(hashOf(bytes as Buffer), 'hex')),
      ),
    );
  });

  it('stay valid for half of their time at least, however long the job has waited', async () => {
    for (let day = 0; day < 100; day++) {
      const leftMs = expiryOf(await make()) - clock.nowMs();
      assert.ok(leftMs >= validMs / 2 && leftMs <= validMs, `${leftMs} ms on day ${day}`);
      await clock.advance(dayMs);
    }
  });
});
