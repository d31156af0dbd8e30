import assert from 'node:assert/strict';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { StateStore } from '../state-store/state-store.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { toVersion } from '../testing/test-library.ts';
import { PackageActions } from './package-actions.ts';

const packageId = 'PS100001';
const action = (jobSerial: number, id = packageId) => ({ packageId: id, jobSerial });
const begun = (jobSerial: number) => ({
  ...action(jobSerial),
  version: toVersion(packageId, 1, []),
  redistribute: false,
});
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('package actions', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let actions: PackageActions;

  async function open(): Promise<void> {
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('state'), logger }));
    actions = new PackageActions(store);
  }

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    await open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  it('admits the newest job again and again, and no older one', async () => {
    await actions.admit(action(5), 'add');
    await actions.admit(action(5), 'add');
    await assert.rejects(actions.admit(action(4), 'remove'), (error) => {
      assert.ok(isErrorWithCode(error, 'ACTION_SUPERSEDED'));
      const { details } = error;
      return details.code === 'ACTION_SUPERSEDED' && details.newestJobSerial === 5;
    });
    await actions.admit(action(6), 'remove');
    await actions.admit(action(1, 'PS100002'), 'add');
  });

  it('remembers the newest job when the store is opened anew', async () => {
    await actions.admit(action(5), 'add');
    actions.begin(begun(5));
    await store.close();
    await open();
    await assert.rejects(actions.admit(action(4), 'add'), code('ACTION_SUPERSEDED'));
    assert.throws(() => actions.require(action(5)), code('ACTION_NOT_BEGUN'));
    await actions.admit(action(5), 'add');
  });

  it('answers calls of the action that has begun only', async () => {
    assert.throws(() => actions.require(action(5)), code('ACTION_NOT_BEGUN'));
    await actions.admit(action(5), 'add');
    actions.begin(begun(5));
    assert.equal(actions.require(action(5)).jobSerial, 5);
    assert.throws(() => actions.require(action(4)), code('ACTION_SUPERSEDED'));
    assert.throws(() => actions.require(action(6)), code('ACTION_NOT_BEGUN'));
    await actions.admit(action(6), 'remove');
    assert.equal(actions.begunFor(packageId), undefined, 'a newer job ends the older one');
    assert.throws(() => actions.require(action(5)), code('ACTION_NOT_BEGUN'));
  });

  it('ends an action, and not the newer one', async () => {
    actions.begin(begun(6));
    actions.end(action(5));
    assert.equal(actions.begunFor(packageId)?.jobSerial, 6);
    actions.end(action(6));
    assert.equal(actions.begunFor(packageId), undefined);
  });
});
