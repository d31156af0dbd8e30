import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aSendRequest } from './testing/job-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';

const nothing = {
  ...{ packageId: '', destinationSiteCode: '', failedOnly: false, olderThanMs: 0, all: false },
};
const id = '0000002ACS1';

describe('waybill send move, suspend, resume, run and cancel (ADM-2)', () => {
  const requests: [words: string, sent: object][] = [
    [`send suspend ${id}`, { steering: 'SEND_STEERING_SUSPEND', requestIds: [id] }],
    ['send resume --all', { steering: 'SEND_STEERING_RESUME', ...nothing, all: true }],
    [
      'send run --to PS2 --failed',
      { steering: 'SEND_STEERING_RUN', ...nothing, destinationSiteCode: 'PS2', failedOnly: true },
    ],
    [
      `send move --package CS100001 --before ${id}`,
      { steering: 'SEND_STEERING_MOVE', ...nothing, packageId: 'CS100001', beforeRequestId: id },
    ],
    [`send move ${id} --first`, { steering: 'SEND_STEERING_MOVE', requestIds: [id], first: true }],
    [
      'send cancel --older-than 2d --yes',
      { steering: 'SEND_STEERING_CANCEL', ...nothing, olderThanMs: 172_800_000 },
    ],
  ];
  for (const [words, sent] of requests) {
    it(`${words} says what is meant`, async () => {
      const { admin, exitCode, stderr, stdout } = await runWaybill(words);
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(admin.requestOf('steerSendRequests'), sent);
      assert.match(stdout, /1 send request/);
    });
  }

  it('says that there is no such site, not that nothing is sent there', async () => {
    const admin = () => new FakeAdmin().stream('steerSendRequests', () => []);
    const unknown = await runWaybill('send suspend --to XXX', { admin: admin() });
    assert.equal(unknown.exitCode, 1);
    assert.match(unknown.stderr, /There is no site XXX/);
    const known = await runWaybill('send suspend --to PS1', { admin: admin() });
    assert.equal(known.stdout, 'No open send request is meant.\n');
  });

  it('asks before it cancels more than one', async () => {
    const two = () =>
      new FakeAdmin().stream('steerSendRequests', () => [aSendRequest(), aSendRequest()]);
    const alone = await runWaybill('send cancel --all', { admin: two() });
    assert.equal(alone.exitCode, 2);
    assert.match(alone.stderr, /expected --yes: this cancels 2 send requests/);
    const question = async () => 'yes';
    const { exitCode, admin } = await runWaybill('send cancel --all', {
      admin: two(),
      surroundings: { question },
    });
    assert.equal(exitCode, 0);
    assert.equal(admin.calls.filter(({ method }) => method === 'steerSendRequests').length, 2);
  });

  for (const words of [
    'send suspend',
    `send suspend ${id} --all`,
    'send suspend --all --to PS2',
    'send suspend 2A',
    `send move ${id}`,
    `send move ${id} --first --last`,
  ]) {
    it(`refuses ${words} (bad input)`, async () => {
      const { exitCode, stderr } = await runWaybill(words);
      assert.equal(exitCode, 2);
      assert.match(stderr, /expected/);
    });
  }
});
