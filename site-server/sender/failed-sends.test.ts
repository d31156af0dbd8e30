import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { WaybillError } from '../../shared/domain/errors.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { machine, site, startBeforeEach } from './testing/sending-ground.ts';
import { refusal } from './testing/test-sending.ts';

const mib = 1024 * 1024;
const minuteMs = 60_000;

describe('FailedSends', () => {
  startBeforeEach();

  const untilRetrying = () => site.becomes(({ state }) => state === 'retrying');

  it('tries again after a minute, then backs off to half an hour (REP-5)', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const waits: number[] = [];
    for (let count = 0; count < 8; count++) {
      const { retryAtMs, tryCount } = await untilRetrying();
      assert.equal(tryCount, count + 1);
      waits.push(Math.ceil((retryAtMs - machine.clock.nowMs()) / (minuteMs / 2)) / 2);
      await machine.clock.advance(retryAtMs - machine.clock.nowMs());
      await site.becomes(({ tryCount: now }) => now > tryCount, 0);
    }
    // With half of the chance: from 0.75 of the doubled wait.
    assert.deepEqual(waits, [1, 1.5, 3, 6, 12, 22.5, 22.5, 22.5]);
  });

  it('says why it waits, and until when', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { reason, retryAtMs } = await untilRetrying();
    assert.match(reason, /cannot be reached/);
    assert.ok(retryAtMs > machine.clock.nowMs());
  });

  it('ends with the reason of a receiver that refuses, at once, and says so (REP-7)', async () => {
    machine.site().refusal = refusal('it is meant for another site');
    const [job] = await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'failed');
    assert.match(request?.reason ?? '', /it is meant for another site/);
    assert.equal(request?.tryCount, 1);
    const result = await machine.store.records(keySpaces.siteDeliveryResults).get('CS100001/PS1');
    assert.deepEqual([result?.jobId, result?.outcome], [job?.jobId, 'refused']);
    const messages = await site.status.query({ countMax: 9 });
    assert.deepEqual(
      messages.map(({ messageId, insertionStrings }) => [messageId, insertionStrings.at(-1)]),
      [[9020, request?.reason]],
    );
  });

  it('tries a refusal again that may mend by itself, and says so (REP-7)', async () => {
    machine.site().refusal = refusal('for now');
    await machine.order({});
    const { reason } = await untilRetrying();
    assert.match(reason, /for now/);
    const [message] = await site.status.query({ countMax: 9 });
    assert.deepEqual([message?.messageId, message?.insertionStrings.at(-1)], [9021, reason]);
    assert.deepEqual(
      machine.audited.map(({ caller, address, method, result }) => [
        caller,
        address,
        method,
        result,
      ]),
      [['waybill://site/CS1', 'a:1', 'send', 'INSTRUCTION_REFUSED']],
    );
    assert.equal(machine.audited[0]?.refusedBy, 'waybill://site/PS1');
    assert.match(
      machine.audited[0]?.detail ?? '',
      /PS1 refused \d+CS1, package CS100001 version 1: .*for now/,
    );
    machine.site().refusal = undefined;
    await machine.clock.advance(minuteMs);
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.site().wireBytes, mib);
    assert.equal(machine.audited.length, 1);
  });

  it('tries again when the receiver does not know this site yet, and says so', async () => {
    const refused = { caller: 'waybill://site/CS1', method: 'x', expected: 'sites that are known' };
    machine.site().refusal = new WaybillError({ code: 'PEER_NOT_ALLOWED', ...refused });
    await machine.order({});
    const { reason } = await untilRetrying();
    assert.match(reason, /sites that are known/);
    machine.site().refusal = undefined;
    await machine.clock.advance(minuteMs);
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('gives way to a newer version at the receiver, and says so (REP-7)', async () => {
    const held = { packageId: 'CS100001', offered: 1, held: 2 };
    machine.site().refusal = new WaybillError({ code: 'VERSION_DOWNGRADE', ...held });
    await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'cancelled');
    const messages = await site.status.query({ countMax: 9 });
    const told = messages.map(({ messageId, insertionStrings }) => [
      messageId,
      insertionStrings[3],
    ]);
    assert.deepEqual(told, [[9021, request?.reason]]);
  });

  it('sends a file again that did not match its hash there, twice, and then fails', async () => {
    const hashes = { expectedHash: 'a', actualHash: 'b' };
    machine.site().fileRefusal = new WaybillError({ code: 'FILE_HASH_MISMATCH', ...hashes });
    await machine.order({});
    await site.allEnded();
    const [request] = await machine.history();
    assert.equal(request?.state, 'failed');
    assert.equal(machine.site().wireBytes, 3 * mib);
    assert.equal(machine.made.length, 1, 'the file here is sound');
  });

  it('makes a file anew that was damaged on disk, before it blames the link', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { file } = await untilRetrying();
    await writeFile(site.files.pathOf(file.fileHash), Buffer.alloc(mib, 9));
    const hashes = { expectedHash: 'a', actualHash: 'b' };
    machine.site().fileRefusal = new WaybillError({ code: 'FILE_HASH_MISMATCH', ...hashes });
    machine.site().isUp = true;
    site.connected('PS1');
    await machine.until(() => machine.made.length === 2);
    machine.site().fileRefusal = undefined;
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('makes a file again that is gone when it is to be sent', async () => {
    machine.site().isUp = false;
    await machine.order({});
    const { file } = await untilRetrying();
    await rm(site.files.pathOf(file.fileHash));
    machine.site().isUp = true;
    site.connected('PS1');
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.made.length, 2);
  });

  it('makes no file again that is here, whatever the other site says of it (REP-7)', async () => {
    const fileHash = 'ab'.repeat(32);
    machine.site().refusal = new WaybillError({ code: 'FILE_NOT_HELD', fileHash });
    await machine.order({});
    const { reason, retryAtMs } = await untilRetrying();
    assert.match(reason, /is not in this content library/);
    assert.ok(retryAtMs > machine.clock.nowMs(), 'it waits like after any failure');
    machine.site().refusal = undefined;
    await site.allEnded(1_000);
    assert.equal((await machine.history())[0]?.state, 'complete');
    assert.equal(machine.site().wireBytes, mib);
  });
});
