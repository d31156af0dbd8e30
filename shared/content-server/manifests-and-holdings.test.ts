import assert from 'node:assert/strict';
import { access, rm } from 'node:fs/promises';
import type { ContentDescriptor } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { action, big, bytes } from '../package-receiver/testing/provider-test.ts';
import type { DeltaList } from '../rpc/generated/waybill/v1/DeltaList.ts';
import type { Holdings } from '../rpc/generated/waybill/v1/Holdings.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { collect } from '../testing/test-library.ts';
import { defaultContentServerConfig } from './content-server.ts';
import {
  aboutContent,
  ContentServerTest,
  nameOf,
  onlyContent,
} from './testing/content-server-test.ts';

const { holdingsIntervalMs, letGoPollMs } = defaultContentServerConfig;
const tree = { a: bytes('one'), empty: bytes(''), b: big('b') };
const hash = (digit: string) => digit.repeat(64);
const notHeld = (error: unknown) => isErrorWithCode(error, 'CONTENT_NOT_HELD');
const invalid = (error: unknown) => isErrorWithCode(error, 'MESSAGE_INVALID');
const otherHash = Buffer.alloc(32, 7);

describe('content server', () => {
  let test: ContentServerTest;
  let content: ContentDescriptor;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await ContentServerTest.open();
    content = onlyContent(await test.dp.publish(1, tree));
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  /** Brings a version of the package to the DP. */
  async function commit(sourceVersion: number, jobSerial: number): Promise<ContentDescriptor> {
    const trees = { ...tree, v: bytes(`v${sourceVersion}`) };
    const version = await test.dp.publish(sourceVersion, trees);
    await test.dp.sender.distribute(version, jobSerial);
    return onlyContent(version);
  }

  const manifest = async (named: object): Promise<Buffer> => {
    const request = aboutContent({ ...nameOf(content), ...named });
    const parts = await collect(test.conversation.getManifest(request, test.context));
    return Buffer.concat(parts.map(({ chunk }) => chunk as Buffer));
  };
  const expectedManifest = async ({ contentId }: ContentDescriptor) =>
    Buffer.concat(await test.dp.sender.manifestOf(contentId));
  const watch = (named = nameOf(content)) =>
    test.conversation
      .watchHoldings(aboutContent(named), test.context)
      [Symbol.asyncIterator]() as AsyncGenerator<Holdings, void>;

  describe('manifests', () => {
    it('come from the library, and then the signature (PULL-7)', async () => {
      content = await commit(2, 1);
      assert.deepEqual(await manifest({}), await expectedManifest(content));
    });

    it('are told one caller so many at once, and others all the same (SEC-4)', async () => {
      content = await commit(2, 1);
      const { callerListsMax } = defaultContentServerConfig;
      const ask = (dpId: string) =>
        test.conversation
          .getManifest(aboutContent(nameOf(content)), test.contextOf(dpId))
          [Symbol.asyncIterator]() as AsyncGenerator<object>;
      const asked = Array.from({ length: callerListsMax }, () => ask('PS1DP2'));
      for (const one of asked) assert.equal((await one.next()).done, false);
      let hasMore = false;
      const more = ask('PS1DP2');
      const next = more.next().then(() => {
        hasMore = true;
      });
      const other = ask('PS1DP3');
      assert.equal((await other.next()).done, false);
      assert.equal(hasMore, false);
      await asked[0]?.return(undefined);
      await next;
      for (const one of [...asked, more, other]) await one.return(undefined);
    });

    it('come of a content that is arriving (PULL-11)', async () => {
      await assert.rejects(manifest({}), notHeld);
      const { end } = await test.arrives(content, { unitCount: 5 });
      assert.deepEqual(await manifest({}), await expectedManifest(content));
      end();
      await assert.rejects(manifest({}), notHeld);
    });

    it('are those that are named, and no others (SEC-4)', async () => {
      content = await commit(2, 1);
      await assert.rejects(manifest({ contentHash: otherHash }), notHeld);
      await assert.rejects(manifest({ signatureHash: otherHash }), notHeld);
      const next = onlyContent(await test.dp.publish(3, { other: bytes('other') }));
      await test.arrives(next, { unitCount: 1 });
      await assert.rejects(manifest({ ...nameOf(next), contentHash: otherHash }), notHeld);
      assert.deepEqual(await manifest(nameOf(next)), await expectedManifest(next));
    });

    it('are not given away when they are damaged here', async () => {
      const { content: arriving } = await test.arrives(content, { unitCount: 5 });
      await rm(arriving.signaturePath);
      await assert.rejects(manifest({}), notHeld);
    });

    it('are read to their end when their content goes meanwhile (PKG-5)', async () => {
      content = await commit(2, 1);
      const request = aboutContent(nameOf(content));
      const parts = test.conversation.getManifest(request, test.context)[Symbol.asyncIterator]();
      const first = await parts.next();
      await test.dp.dp.provider.removePackage(action(2));
      const second = await parts.next();
      const chunks = [first, second].map(({ value }) => value.chunk as Buffer);
      assert.deepEqual(Buffer.concat(chunks), await expectedManifest(content));
      assert.equal((await parts.next()).done, true);
      await assert.rejects(manifest({}), notHeld);
    });

    it('are refused to who does not name them well (SEC-4)', async () => {
      for (const named of [{ contentId: '../x' }, { contentHash: Buffer.alloc(31) }]) {
        await assert.rejects(manifest(named), invalid);
      }
      const unnamed = test.conversation.getManifest(aboutContent(null), test.context);
      await assert.rejects(collect(unnamed), invalid);
    });
  });

  describe('holdings', () => {
    it('are complete of what the library holds, until it lets go, whoever watches (PKG-5)', async () => {
      content = await commit(2, 1);
      const holdings = watch();
      assert.deepEqual((await holdings.next()).value, { complete: true });
      const ended = holdings.next();
      const path = (await heldManifest()) ?? '';
      await test.dp.clock.advance(letGoPollMs);
      await commit(3, 2);
      await assert.rejects(access(path), 'a watch holds no lease');
      while (test.dp.clock.sleeperCount > 0 && !(await isSettled(ended))) {
        await test.dp.clock.advance(letGoPollMs);
      }
      assert.equal((await ended).done, true);
    });

    it('are told of an arriving content: first all, then what is new, then that it is complete (PULL-11)', async () => {
      const { content: arriving, end } = await test.arrives(content, { unitCount: 20 });
      arriving.units.add(9);
      const holdings = watch();
      assert.deepEqual((await holdings.next()).value, {
        firstUnit: 0,
        units: Buffer.from([0, 0b10, 0]),
      });
      const next = holdings.next();
      arriving.units.add(16);
      test.arriving.changed(content.contentId);
      assert.deepEqual((await next).value, { firstUnit: 16, units: Buffer.from([1]) });
      const last = holdings.next();
      await test.dp.sender.distribute(await test.dp.publish(1, tree), 1);
      end();
      await test.dp.clock.advance(holdingsIntervalMs);
      assert.deepEqual((await last).value, { complete: true });
    });

    it('come at most so often, what came meanwhile in one message', async () => {
      const { content: arriving } = await test.arrives(content, { unitCount: 20 });
      const holdings = watch();
      await holdings.next();
      const add = (unit: number) => {
        arriving.units.add(unit);
        test.arriving.changed(content.contentId);
      };
      const first = holdings.next();
      add(0);
      assert.deepEqual((await first).value, { firstUnit: 0, units: Buffer.from([1]) });
      const second = holdings.next();
      for (const unit of [1, 2, 10]) add(unit);
      await test.dp.clock.advance(holdingsIntervalMs - 1);
      assert.equal(await isSettled(second), false);
      await test.dp.clock.advance(1);
      assert.deepEqual((await second).value, { firstUnit: 0, units: Buffer.from([0b111, 0b100]) });
    });

    it('end when it arrives no more and is not here', async () => {
      const { end } = await test.arrives(content, { unitCount: 20 });
      const holdings = watch();
      await holdings.next();
      const last = holdings.next();
      end();
      assert.equal((await last).done, true);
    });

    it('begin anew with all units when it arrives anew', async () => {
      const { content: before } = await test.arrives(content, { unitCount: 8 });
      before.units.add(1);
      const holdings = watch();
      await holdings.next();
      const next = holdings.next();
      await test.arrives(content, { unitCount: 8 });
      assert.deepEqual((await next).value, { firstUnit: 0, units: Buffer.from([0]) });
    });

    it('are none of what is neither here nor arriving, or is another content (SEC-4)', async () => {
      await assert.rejects(watch().next(), notHeld);
      await test.arrives(content, { unitCount: 20 });
      const other = { ...nameOf(content), contentHash: otherHash };
      await assert.rejects(watch(other).next(), notHeld);
      assert.throws(() => watch({ ...nameOf(content), contentId: '' }), invalid);
    });

    it('end with the call, whatever they wait for', async () => {
      await test.arrives(content, { unitCount: 20 });
      const complete = await commit(2, 1);
      const watches = [watch(), watch(nameOf(complete))];
      for (const holdings of watches) await holdings.next();
      const waiting = watches.map((holdings) => assert.rejects(holdings.next(), isAbortError));
      await test.dp.clock.advance(1);
      test.calls.abort();
      await Promise.all(waiting);
    });
  });

  describe('deltas', () => {
    const delta = (fileHash: string) => ({
      fileHash,
      fileBytes: 3,
      baseHash: hash('b'),
      baseBytes: 2,
      deltaHash: hash('d'),
      deltaBytes: 1,
      deltaPieceHashes: '',
    });
    const ask = () => {
      const request = aboutContent(nameOf(content));
      return test.conversation.listDeltas(request, test.context) as AsyncGenerator<DeltaList>;
    };
    const listed = async (named = nameOf(content)) =>
      (await collect(test.conversation.listDeltas(aboutContent(named), test.context))).flatMap(
        ({ deltas }) => (deltas ?? []).map(({ fileHash }) => (fileHash as Buffer).toString('hex')),
      );

    it('are those of the library, and those that are known of what is arriving (PULL-6)', async () => {
      await assert.rejects(listed(), notHeld);
      const deltas = { used: [delta(hash('1'))], areKnown: true };
      await test.arrives(content, { unitCount: 5, deltas });
      test.deltas.set(content.contentId, [delta(hash('2'))]);
      assert.deepEqual(await listed(), [hash('1')], 'the library does not hold it yet');
      await test.dp.sender.distribute(await test.dp.publish(1, tree), 1);
      assert.deepEqual(await listed(), [hash('2'), hash('1')]);
      await assert.rejects(listed({ ...nameOf(content), signatureHash: otherHash }), notHeld);
    });

    it('are told later where they are not known yet, and then hold nobody up (PULL-6)', async () => {
      const deltas = { used: [] as Delta[], areKnown: false };
      await test.arrives(content, { unitCount: 5, deltas });
      const asked = Array.from({ length: 9 }, ask);
      for (const lists of asked) assert.deepEqual((await lists.next()).value, { deltas: [] });
      const rest = asked.map((lists) => collect(lists));
      test.arriving.changed(content.contentId);
      assert.ok(!(await isSettled(Promise.race(rest))), 'nothing is known yet');
      deltas.used.push(delta(hash('1')));
      deltas.areKnown = true;
      test.arriving.changed(content.contentId);
      for (const lists of await Promise.all(rest)) assert.equal(lists[0]?.deltas?.length, 1);
    });

    it('are none of what arrives no more, and not waited for when the call is over', async () => {
      const deltas = { used: [], areKnown: false };
      const { end } = await test.arrives(content, { unitCount: 5, deltas });
      const lists = ask();
      await lists.next();
      const gone = collect(lists);
      end();
      await assert.rejects(gone, notHeld);
      await test.arrives(content, { unitCount: 5, deltas });
      const waiting = ask();
      await waiting.next();
      const over = assert.rejects(waiting.next(), isAbortError);
      test.calls.abort();
      await over;
    });
  });

  async function heldManifest(): Promise<string | undefined> {
    await using reader = await test.dp.dp.library.openContent(content.contentId);
    return reader.manifestPath;
  }
}).timeout(10_000);

/** Whether it has ended once everything that can go on has. */
function isSettled(work: Promise<unknown>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setImmediate(resolve, false));
  return Promise.race([work.then(() => true), later]);
}
