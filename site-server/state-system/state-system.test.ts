import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { StateMessage } from '../../shared/domain/state-message.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { openTestMachine, type TestMachine } from '../distribution-manager/testing/test-site.ts';
import { StateSystem } from './state-system.ts';

describe('State System', () => {
  let machine: TestMachine;
  let notifier: ChangeNotifier;
  let job: DistributionJob | undefined;
  let syncs: boolean[];
  let system: StateSystem;

  beforeEach(async () => {
    machine = await openTestMachine();
    const { store, log } = machine;
    notifier = new ChangeNotifier({ store });
    job = testJob({ jobSerial: 1, dpId: 'P1' });
    syncs = [];
    const watched: Pick<StateStore, 'records' | 'write'> = {
      records: (space) => store.records(space),
      write: (changes, options) => {
        syncs.push(options.sync);
        return store.write(changes, options);
      },
    };
    const jobs = { get: () => job };
    system = new StateSystem({ store: watched, notifier, jobs, logger: log.logger });
  });
  afterEach(() => machine[Symbol.asyncDispose]());

  const message = (serial: number, facts: Partial<StateMessage> = {}): StateMessage => ({
    ...{ dpId: 'P1', packageId: 'PS100001', jobSerial: 1, sourceVersion: 1, state: 'progress' },
    ...{ percent: 0, doneBytes: serial, totalBytes: 100, receivedBytes: 0, packageHash: '' },
    ...{ source: '', timeMs: 0, place: { outboxMadeAtMs: 1, serial } },
    ...facts,
  });
  const row = () => machine.store.records(keySpaces.pullDpResponse).get(joinKey('P1', 1));
  const news = async () => {
    const subjects: string[] = [];
    for await (const { subject } of notifier.pending('pull-response')) subjects.push(subject);
    return subjects;
  };

  it('writes what is newest, on disk, with its notification (PULL-9, DM-1)', async () => {
    await system.apply(message(3));
    assert.equal((await row())?.doneBytes, 3);
    assert.deepEqual(await news(), ['P1,1']);
    assert.deepEqual(syncs, [true]);
  });

  it('changes nothing for what it has heard, or what is older (PULL-9)', async () => {
    await system.apply(message(3));
    for (const serial of [3, 2]) await system.apply(message(serial));
    assert.deepEqual([(await row())?.doneBytes, syncs.length], [3, 1]);
  });

  it('remembers what was taken as long as the job is open (PULL-9)', async () => {
    job = testJob({ jobSerial: 1, heardPlace: { outboxMadeAtMs: 1, serial: 5 } });
    for (const serial of [5, 4]) await system.apply(message(serial));
    assert.equal(await row(), undefined);
    await system.apply(message(1, { place: { outboxMadeAtMs: 2, serial: 1 } }));
    assert.equal((await row())?.place.outboxMadeAtMs, 2, 'a new outbox begins anew');
  });

  it('keeps a warning that nobody has taken beside what comes later (PULL-7)', async () => {
    const error = { code: 'PULL_SOURCE_LIED', source: 'S', fileHash: 'f', reason: 'r' } as const;
    await system.apply(message(1, { state: 'warning', error, source: 'waybill://dp/S' }));
    await system.apply(message(2));
    const found = await row();
    assert.equal(found?.state, 'progress');
    assert.deepEqual(found?.warnings, [{ error, source: 'waybill://dp/S' }]);
  });
});
