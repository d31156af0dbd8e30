import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { JobSelection, SteeringVerb } from '../../shared/domain/job-steering.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { JobSelection__Output } from '../../shared/rpc/generated/waybill/v1/JobSelection.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { openTestMachine } from '../distribution-manager/testing/test-site.ts';
import { GroupRows } from '../hierarchy-manager/group-rows.ts';
import { JobSteeringAnswers } from './job-steering-answers.ts';

const none: JobSelection__Output = {
  jobSerials: [],
  packageId: '',
  dpId: '',
  groupName: '',
  failedOnly: false,
  olderThanMs: '0',
  all: false,
  lookOnly: false,
};
const context: CallContext = {
  caller: { identity: { kind: 'admin', role: 'full', name: 'alice' }, address: '::1' },
  signal: new AbortController().signal,
};

describe('what administrators say about jobs (ADM-2)', () => {
  let machine: Awaited<ReturnType<typeof openTestMachine>>;
  let answers: ReturnType<JobSteeringAnswers['methods']>;
  let selected: { verb: SteeringVerb; selection: JobSelection } | undefined;
  let done: string[];
  let scoped: string[];
  let told: { readonly waitingReason?: string; readonly reason?: string };

  beforeEach(async () => {
    machine = await openTestMachine();
    selected = undefined;
    done = [];
    scoped = [];
    told = {};
    const change = (verb: string) => async (jobs: readonly DistributionJob[]) => {
      done.push(verb);
      return [...jobs];
    };
    const { store } = machine;
    answers = new JobSteeringAnswers({
      store,
      steering: {
        select: async (verb, selection) => {
          selected = { verb, selection };
          return [testJob({ jobSerial: 7 })];
        },
        move: (jobs, target) => change(`move ${target.kind}`)(jobs),
        suspend: change('suspend'),
        resume: change('resume'),
        runNow: change('run'),
        cancel: async function* (jobs) {
          yield* await change('cancel')(jobs);
        },
      },
      jobs: { toMessage: ({ jobSerial }) => ({ jobSerial, ...told }) },
      scopes: {
        checkOf:
          () =>
          async ({ dpIds = [] }) =>
            void scoped.push(...dpIds),
      },
      requireKnown: async ({ dpId }) => {
        if (dpId === 'NOWHERE') throw new Error('unknown');
      },
    }).methods();
    const group = { groupName: 'East', description: '' };
    const { groups, members } = new GroupRows(store);
    const changes = ['A', 'B', 'C'].map((dpId) => {
      // One has left.
      const leftAtMs = dpId === 'C' ? 2 : 0;
      const member = { groupName: 'East', dpId, joinedAtMs: 1, leftAtMs, isDropping: false };
      return members.put(joinKey('East', dpId), member);
    });
    await store.write([groups.put('East', group), ...changes], { sync: false });
  });
  afterEach(() => machine[Symbol.asyncDispose]());

  async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
    const items: T[] = [];
    for await (const item of stream) items.push(item);
    return items;
  }

  const move = (place: Partial<Parameters<typeof answers.moveJobs>[0]>) =>
    answers.moveJobs({ jobs: { ...none, all: true }, ...place }, context);

  it('does each with what is meant, and answers with the jobs', async () => {
    const selection = { ...none, packageId: 'PS100001', failedOnly: true, olderThanMs: '5' };
    assert.deepEqual(await all(answers.suspendJobs(selection, context)), [{ jobSerial: 7 }]);
    const expected = { packageId: 'PS100001', failedOnly: true, olderThanMs: 5 };
    assert.deepEqual(selected, { verb: 'suspend', selection: expected });
    await all(answers.resumeJobs({ ...none, jobSerials: ['3', '4', '3'] }, context));
    assert.deepEqual(selected?.selection, { jobSerials: [3, 4] });
    await all(answers.runJobs({ ...none, all: true }, context));
    assert.deepEqual(selected?.selection, {});
    await all(answers.cancelJobs({ ...none, dpId: 'A' }, context));
    await all(move({ place: 'first', first: true }));
    await all(move({ place: 'last', last: true }));
    await all(move({ place: 'beforeJobSerial', beforeJobSerial: '9' }));
    const moves = ['move first', 'move last', 'move before'];
    assert.deepEqual(done, ['suspend', 'resume', 'run', 'cancel', ...moves]);
  });

  it('says that jobs are due, not that they wait for a slot: that is not decided yet', async () => {
    const due = [{ jobSerial: 7, waitingReason: '', reason: 'due now' }];
    const given = { ...none, all: true };
    told = { waitingReason: 'slot', reason: testJob({}).reason };
    assert.deepEqual(await all(answers.resumeJobs(given, context)), due);
    assert.deepEqual(await all(answers.runJobs(given, context)), due);
    const looked = await all(answers.runJobs({ ...given, lookOnly: true }, context));
    assert.equal(looked[0]?.waitingReason, 'slot');
    for (const other of [
      { waitingReason: 'window-closed', reason: 'Its window never opens' },
      { waitingReason: 'slot', reason: 'The disk is full' },
    ]) {
      told = other;
      assert.deepEqual(await all(answers.resumeJobs(given, context)), [{ jobSerial: 7, ...other }]);
    }
  });

  it('only looks when nothing else is asked for', async () => {
    const look = { ...none, all: true, lookOnly: true };
    assert.equal((await all(answers.cancelJobs(look, context))).length, 1);
    assert.equal((await all(answers.suspendJobs(look, context))).length, 1);
    assert.deepEqual(done, []);
  });

  it('means the DPs of a group', async () => {
    await all(answers.cancelJobs({ ...none, groupName: 'East' }, context));
    assert.deepEqual([...(selected?.selection.dpIds ?? [])], ['A', 'B']);
    await all(answers.cancelJobs({ ...none, groupName: 'East', dpId: 'B' }, context));
    assert.deepEqual([...(selected?.selection.dpIds ?? [])], ['B']);
  });

  const refusals: [what: string, selection: Partial<JobSelection__Output>][] = [
    ['nothing', {}],
    ['numbers and a condition', { jobSerials: ['1'], packageId: 'PS100001' }],
    ['numbers and all', { jobSerials: ['1'], all: true }],
    ['a number that is none', { jobSerials: ['-1'] }],
    ['too many numbers', { jobSerials: Array.from({ length: 1_001 }, (_, index) => `${index}`) }],
    ['an age that is none', { olderThanMs: '99999999999999999999' }],
  ];
  for (const [what, selection] of refusals) {
    it(`refuses ${what} (bad input)`, async () => {
      const call = all(answers.cancelJobs({ ...none, ...selection }, context));
      await assert.rejects(call, { code: 'REQUEST_INVALID' });
      assert.deepEqual([selected, done], [undefined, []]);
    });
  }

  for (const groupName of ['West', 'a/b']) {
    it(`refuses group ${groupName}, which there is not (bad input)`, async () => {
      const call = all(answers.cancelJobs({ ...none, groupName }, context));
      await assert.rejects(call, { code: 'GROUP_UNKNOWN' });
    });
  }

  it('refuses a move to no place, and without a selection (bad input)', async () => {
    await assert.rejects(async () => all(move({})), { code: 'REQUEST_INVALID' });
    const unset = { jobs: null, place: 'first', first: true } as const;
    await assert.rejects(async () => all(answers.moveJobs(unset, context)), {
      code: 'REQUEST_INVALID',
    });
    await assert.rejects(all(answers.runJobs({ ...none, dpId: 'NOWHERE' }, context)), /unknown/);
  });
});
