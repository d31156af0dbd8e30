import assert from 'node:assert/strict';
import type { SendRequestRow } from './send-request-view.ts';
import { machine, site, startBeforeEach } from './testing/sending-ground.ts';

const all = { packageId: '', siteCode: '', history: false, limit: 0 };
const mib = 1024 * 1024;

describe('send request view', () => {
  startBeforeEach({ sender: { sendsMax: 1 } });

  async function list(filter: Partial<typeof all> = {}): Promise<SendRequestRow[]> {
    const rows: SendRequestRow[] = [];
    for await (const row of site.view.list({ ...all, ...filter })) rows.push(row);
    return rows;
  }

  /** Three requests, of which the first is being sent and never gets on. */
  async function orderThree(): Promise<void> {
    machine.fileBytes.set('CS100001', 64 * mib);
    machine.site('PS1').isSilent = true;
    await machine.order({ jobId: 'CS1-00000001', priority: 1 });
    await machine.until(() => machine.site('PS1').openCalls === 1);
    await machine.order(
      { jobId: 'CS1-00000002', packageId: 'CS100002', finalSiteCode: 'SS1', priority: 3 },
      { jobId: 'CS1-00000003', packageId: 'CS100003', finalSiteCode: 'PS2', priority: 2 },
    );
    await machine.until(() => {
      const made = [...site.requests.open()].filter(({ file }) => file.fileHash !== '');
      return made.length === 3;
    });
  }

  it('lists open requests in the order in which they are sent, with why they wait (REP-3)', async () => {
    await orderThree();
    const rows = await list();
    assert.deepEqual(
      rows.map(({ packageId, state, reason }) => [packageId, state, reason]),
      [
        ['CS100001', 'sending', ''],
        ['CS100003', 'pending', 'Waits for one of the 1 sends'],
        ['CS100002', 'pending', 'Waits for one of the 1 sends'],
      ],
    );
    const ids = async (filter: Partial<typeof all>) =>
      (await list(filter)).map(({ packageId }) => packageId);
    assert.deepEqual(await ids({ siteCode: 'PS1' }), ['CS100001', 'CS100002']);
    assert.deepEqual(await ids({ siteCode: 'SS1' }), ['CS100002']);
    assert.deepEqual(await ids({ packageId: 'CS100003' }), ['CS100003']);
    assert.deepEqual(await ids({ limit: 1 }), ['CS100001']);
  });

  it('says how fast a send is, and when it will be done', async () => {
    machine.fileBytes.set('CS100001', 64 * mib);
    machine.site('PS1').cutsAtBytes.push(48 * mib);
    await machine.order({});
    let row: SendRequestRow | undefined;
    await machine.until(async () => {
      [row] = await list();
      return row !== undefined && row.bytesPerSecond > 0;
    }, 100);
    assert.ok((row?.etaMs ?? 0) > 0);
  });

  it('says when a send will be done by the limit of its route, before anything has arrived (PTM-6)', async () => {
    site.arbiter.setControls('route/PS1', { limit: { kind: 'rate', bytesPerSecond: mib } });
    await orderThree();
    const [sending] = await list();
    assert.deepEqual([sending?.bytesPerSecond, sending?.etaMs], [0, 64_000]);
  });

  it('shows every change until it is told to stop, the end included', async () => {
    const controller = new AbortController();
    const states: string[] = [];
    const watching = (async () => {
      for await (const { state } of site.view.watch(all, controller.signal)) states.push(state);
    })();
    await machine.order({});
    await site.allEnded();
    await machine.until(() => states.includes('complete'), 100);
    controller.abort();
    await watching;
    assert.equal(states.at(-1), 'complete');
  });

  it('lists ended requests, newest first', async () => {
    await machine.order({}, { jobId: 'CS1-00000002', packageId: 'CS100002' });
    await site.allEnded();
    const ended = await list({ history: true });
    assert.equal(ended.length, 2);
    assert.ok((ended[0]?.requestId ?? '') > (ended[1]?.requestId ?? ''));
    assert.equal((await list({ history: true, limit: 1 })).length, 1);
    assert.deepEqual(await list(), []);
  });
});
