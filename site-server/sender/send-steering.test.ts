import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { type SendSelection, SendSteering, type SendSteeringVerb } from './send-steering.ts';
import { machine, restart, site, startBeforeEach } from './testing/sending-ground.ts';

const mib = 1024 * 1024;
const minuteMs = 60_000;

describe('steering of send requests (ADM-2)', () => {
  startBeforeEach();
  let steering: SendSteering;
  beforeEach(beginSteering);

  async function beginSteering(): Promise<void> {
    const { store, clock } = machine;
    const status = await StatusManager.open({ store, clock, siteCode: 'CS1' });
    steering = new SendSteering({ siteCode: 'CS1', requests: site.requests, store, status, clock });
  }

  async function steer(
    verb: SendSteeringVerb,
    selection: SendSelection = {},
  ): Promise<SendRequest[]> {
    return steering.steer(verb, await steering.select(verb.kind, selection));
  }

  const only = () => [...site.requests.open()][0];
  const until = (isTrue: () => boolean, stepMs = 1) => machine.until(isTrue, stepMs);

  it('suspends what is sent, over a restart, and goes on where it was', async () => {
    machine.fileBytes.set('CS100001', 8 * mib);
    machine.site().isSilent = true;
    await machine.order({});
    await until(() => machine.site().openCalls > 0);
    const [suspended] = await steer({ kind: 'suspend' });
    assert.equal(suspended?.state, 'suspended');
    await until(() => machine.site().openCalls === 0);
    await restart();
    await beginSteering();
    await until(() => only()?.state === 'suspended');
    await machine.clock.advance(60 * minuteMs);
    assert.equal(machine.site().openCalls, 0);
    machine.site().isSilent = false;
    await steer({ kind: 'resume' });
    await site.allEnded();
    assert.equal((await machine.history())[0]?.state, 'complete');
  });

  it('keeps a request suspended whatever else happens to it', async () => {
    machine.site().isUp = false;
    await machine.order({});
    await until(() => only()?.state === 'retrying');
    await steer({ kind: 'suspend' });
    machine.site().isUp = true;
    machine.tree.sites = machine.tree.sites.filter(({ siteCode }) => siteCode !== 'SS1');
    const { requestId = '' } = only() ?? {};
    await site.requests.change(requestId, (one) => ({ ...one, state: 'pending', reason: '' }));
    assert.deepEqual(
      [only()?.state, only()?.reason],
      ['suspended', 'Suspended by an administrator'],
    );
    await machine.clock.advance(60 * minuteMs);
    assert.equal(machine.site().instructions.length, 0);
  });

  it('tries now what waits for its next try, once', async () => {
    machine.site().isUp = false;
    await machine.order({});
    await until(() => only()?.state === 'retrying');
    const [due] = await steer({ kind: 'run' });
    assert.deepEqual([due?.retryAtMs, due?.ignoresWindow], [0, true]);
    await until(() => only()?.state === 'retrying' && (only()?.tryCount ?? 0) === 2, 0);
    assert.equal(only()?.ignoresWindow, undefined);
  });

  it('puts requests first, last and before others of the same priority', async () => {
    machine.site().isUp = false;
    const jobs = [1, 2, 3, 4].map((index) => ({
      jobId: `CS1-0000000${index}`,
      packageId: `CS10000${index}`,
      priority: index === 4 ? (1 as const) : (2 as const),
    }));
    await machine.order(...jobs);
    await until(() => [...site.requests.open()].length === 4);
    const idOf = (packageId: string) =>
      [...site.requests.open()].find((one) => one.packageId === packageId)?.requestId ?? '';
    const order = async () =>
      (await steering.select('move', {})).map(({ packageId }) => packageId.slice(-1)).join('');
    assert.equal(await order(), '4123');
    await steer({ kind: 'move', target: { kind: 'first' } }, { packageId: 'CS100003' });
    assert.equal(await order(), '4312');
    await steer({ kind: 'move', target: { kind: 'last' } }, { requestIds: [idOf('CS100001')] });
    assert.equal(await order(), '4321');
    const target = { kind: 'before', requestId: idOf('CS100002') } as const;
    await steer({ kind: 'move', target }, { packageId: 'CS100001' });
    assert.equal(await order(), '4312');
    await restart();
    await beginSteering();
    await until(() => [...site.requests.open()].length === 4);
    assert.equal(await order(), '4312');
    for (const packageId of ['CS100004', 'CS100001']) {
      const before = { kind: 'before', requestId: idOf(packageId) } as const;
      await assert.rejects(
        () => steer({ kind: 'move', target: before }, { packageId: 'CS100001' }),
        (error) => isErrorWithCode(error, 'REQUEST_INVALID'),
      );
    }
  });

  it('moves none of two priorities before one that is of the first of them', async () => {
    machine.site().isUp = false;
    const jobs = ([1, 1, 2] as const).map((priority, index) => ({
      ...{ jobId: `CS1-0000000${index}`, packageId: `CS10000${index}`, priority },
    }));
    await machine.order(...jobs);
    await until(() => [...site.requests.open()].length === 3);
    const ids = async () => (await steering.select('move', {})).map(({ requestId }) => requestId);
    const before = await ids();
    const [requestId = '', ...requestIds] = before;
    await assert.rejects(
      () => steer({ kind: 'move', target: { kind: 'before', requestId } }, { requestIds }),
      (error) => isErrorWithCode(error, 'REQUEST_INVALID'),
    );
    assert.deepEqual(await ids(), before);
  });

  it('cancels: it is not sent again, and the site above hears that it has failed', async () => {
    machine.site().isSilent = true;
    await machine.order({});
    await until(() => machine.site().openCalls > 0);
    const [cancelled] = await steer({ kind: 'cancel' });
    assert.deepEqual(
      [cancelled?.state, cancelled?.reason],
      ['cancelled', 'Cancelled by an administrator'],
    );
    await until(() => machine.site().openCalls === 0);
    const key = joinKey('CS100001', 'CS1', 'PS1');
    const failure = await machine.store.records(keySpaces.forwardingFailures).get(key);
    assert.deepEqual([failure?.mayRepeat, failure?.reason], [false, cancelled?.reason]);
    const result = await machine.store
      .records(keySpaces.siteDeliveryResults)
      .get(joinKey('CS100001', 'PS1'));
    assert.equal(result?.outcome, 'refused');
    assert.deepEqual([...site.requests.open()], []);
    await assert.rejects(
      () => steer({ kind: 'cancel' }, { requestIds: [cancelled?.requestId ?? ''] }),
      (error) => isErrorWithCode(error, 'SEND_STATE_CONFLICT'),
    );
  });

  it('refuses names that are unknown, or not as they must be', async () => {
    machine.site().isUp = false;
    await machine.order({});
    await until(() => only()?.state === 'retrying');
    const { requestId = '' } = only() ?? {};
    await assert.rejects(
      () => steering.select('resume', { requestIds: [requestId] }),
      /is retrying; this needs one that is suspended/,
    );
    await assert.rejects(
      () => steering.select('run', { requestIds: ['000000FFCS1'] }),
      /expected a send request of site CS1, got 000000FFCS1\. "waybill send --site CS1" lists them$/,
    );
  });

  it('means those that have something in common', async () => {
    machine.site().isUp = false;
    await machine.order({}, { jobId: 'CS1-00000002', packageId: 'CS100002', finalSiteCode: 'PS2' });
    machine.site('PS2').isSilent = true;
    await until(() => [...site.requests.open()].some(({ state }) => state === 'retrying'));
    const select = async (selection: SendSelection) =>
      (await steering.select('suspend', selection)).map(({ finalSiteCode }) => finalSiteCode);
    assert.deepEqual(await select({ failedOnly: true }), ['PS1']);
    assert.deepEqual(await select({ siteCode: 'PS2' }), ['PS2']);
    assert.deepEqual(await select({ packageId: 'CS100001', siteCode: 'PS2' }), []);
    assert.deepEqual(await select({ olderThanMs: 60 * minuteMs * 24 * 365 * 100 }), []);
  });
});
