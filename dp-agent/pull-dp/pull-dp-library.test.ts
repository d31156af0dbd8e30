import assert from 'node:assert/strict';
import {
  big,
  bytes,
  ProviderTest,
  packageId,
} from '../../shared/package-receiver/testing/provider-test.ts';
import { TestLibrary } from '../../shared/testing/test-library.ts';
import { StateMessageOutbox } from '../state-reporter/state-message-outbox.ts';
import type { PackageFetcher } from './package-fetcher.ts';
import { PullDp } from './pull-dp.ts';
import { PullDpSettings } from './pull-dp-settings.ts';
import { PullJobStore } from './pull-job-store.ts';
import { notificationOf, refusedWith, until } from './testing/test-pull-dp.ts';

describe('pull DP over a content library', () => {
  it('makes a version visible, updates it, and never goes back (PULL-4, PULL-6, PKG-5)', async () => {
    await using test = await ProviderTest.open();
    await using state = await TestLibrary.open({ directory: test.directory.join('state') });
    const { store, clock, log } = state;
    const { logger } = log;
    const { provider: receiver, library } = test.dp;
    const outbox = new StateMessageOutbox({ store, clock, logger }, { dpId: 'PS1DP1' });
    const jobs = new PullJobStore(store, outbox);
    const settings = new PullDpSettings(store);
    const fetcher: PackageFetcher = {
      open: () => ({
        setSources: () => {},
        setUrgency: () => {},
        run: async ({ action: { version, jobSerial, redistribute }, observer }) => {
          await test.sender.begin(version, jobSerial, redistribute);
          await test.sender.bring(version, jobSerial);
          for (const { contentId } of version.contents) {
            await observer.contentState(contentId, 'signature-downloaded');
            await observer.contentState(contentId, 'downloaded');
          }
          return { end: () => {} };
        },
      }),
    };
    const random = () => 0.5;
    const hours = { isOpen: () => true, opensAtMs: () => 0, onChanged: () => () => {} };
    const pullDp = new PullDp({
      hours,
      ...{ receiver, library, fetcher, jobs, outbox, settings, clock, random, logger },
    });
    await outbox.start();
    await pullDp.start();
    const first = await test.publish(1, { a: bytes('a'), b: big('b') });
    const pull = async (version: typeof first, jobSerial: number) => {
      const notification = notificationOf(version, jobSerial);
      const { bundleHash } = notification;
      pullDp.putPackageInfo({ packageId, jobSerial, version, bundleHash, manifests: [] });
      await pullDp.notify(notification);
      await until(() => jobs.size === 0);
    };
    await pull(first, 1);
    assert.equal((await test.held())?.packageHash, first.packageHash);
    const second = await test.publish(2, { a: bytes('a'), b: big('c') });
    await pull(second, 2);
    assert.deepEqual(await test.extracted('b'), big('c'));
    assert.equal(test.sender.sent.length, 7, 'what was here was not fetched');
    await assert.rejects(pull(first, 3), refusedWith('VERSION_DOWNGRADE'));
    const { state: lastState, packageHash } = await pullDp.query({ packageId, jobSerial: 2 });
    assert.deepEqual([lastState, packageHash], ['succeeded', second.packageHash]);
    await pullDp.stop();
    await outbox.stop();
  });
}).timeout(20_000);
