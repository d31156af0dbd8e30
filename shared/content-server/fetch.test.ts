import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { frameMemoryBytes } from '../content-source/content-message.ts';
import { pieceBytes } from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { action, big, bytes } from '../package-receiver/testing/provider-test.ts';
import type { EncodedAnswer } from '../rpc/conversation.ts';
import type { FetchRequest__Output } from '../rpc/generated/waybill/v1/FetchRequest.ts';
import { defaultContentServerConfig } from './content-server.ts';
import {
  ContentServerTest,
  each,
  type Fetched,
  filesRequest,
  pieceRequest,
  received,
} from './testing/content-server-test.ts';

const pieceOf = (content: Buffer, index: number) =>
  content.subarray(index * pieceBytes, (index + 1) * pieceBytes);
const filesOf = (answer: Fetched | undefined) => answer?.files?.files.map(({ data }) => data);
const many = (count: number) => Array.from({ length: count }, (_, index) => bytes(`file ${index}`));
const treeOf = (contents: readonly Buffer[]) =>
  Object.fromEntries(contents.map((content, index) => [`f${index}`, content]));

describe('fetch from a content server', () => {
  let test: ContentServerTest;
  beforeEach(async function () {
    this.timeout(10_000);
    test = await ContentServerTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  async function hold(...contents: Buffer[]): Promise<void> {
    await test.dp.sender.distribute(await test.dp.publish(1, treeOf(contents)), 1);
  }

  /** Begins to receive files, and stages those that are small. */
  async function stage(...contents: Buffer[]): Promise<void> {
    const version = await test.dp.publish(2, treeOf(contents));
    await test.dp.sender.begin(version, 2);
    await test.dp.sender.wanted(version, 2);
    const small = contents.filter(({ length }) => length <= pieceBytes);
    const files = small.map((content) => ({ hash: hashOf(content), bytes: Buffer.from(content) }));
    await test.dp.dp.provider.receiveSmallFiles(action(2), files);
  }

  describe('from the library', () => {
    it('brings pieces and files, each request answered in order, empty files too (PULL-7)', async () => {
      await hold(big('a'), bytes('one'), bytes(''), bytes('two'));
      const answers = await test.fetched(
        pieceRequest(big('a'), 2),
        filesRequest(bytes('two'), bytes(''), bytes('one'), bytes('two')),
        pieceRequest(big('a'), 0),
        pieceRequest(big('x'), 0),
      );
      assert.deepEqual(answers[0]?.piece?.data, pieceOf(big('a'), 2));
      assert.equal(answers[0]?.piece?.pieceIndex, 2);
      assert.equal(answers[0]?.piece?.fileHash.toString('hex'), hashOf(big('a')));
      const files = [bytes('two'), bytes(''), bytes('one'), bytes('two')];
      assert.deepEqual(filesOf(answers[1]), files);
      assert.deepEqual(answers[2]?.piece?.data, pieceOf(big('a'), 0));
      assert.equal(answers[3]?.body, 'notHere');
    });

    it('leaves out files that are not here, and says so when none is (PULL-7)', async () => {
      const held = many(40);
      await hold(...held);
      const lost = bytes('lost');
      const request = filesRequest(lost, ...held, bytes('lost too'));
      const [some, none] = await test.fetched(request, filesRequest(lost));
      assert.deepEqual(filesOf(some), held);
      assert.equal(none?.body, 'notHere');
    });

    it('leaves out a file that is here in another length, and one of no bytes that cannot be', async () => {
      await hold(bytes('one'));
      const [{ files } = filesRequest()] = [filesRequest(bytes('one'), bytes('one'), bytes(''))];
      files.files[1]!.fileBytes = 9;
      files.files.push({ fileHash: Buffer.alloc(32, 1), fileBytes: 0 });
      const [answer] = await test.fetched({ files });
      assert.deepEqual(filesOf(answer), [bytes('one'), bytes('')], 'the empty file is everywhere');
    });

    it('finds that a file went away', async () => {
      await hold(big('a'), bytes('one'), bytes('two'));
      await rm(test.dp.pathOf(bytes('one')));
      await rm(test.dp.pathOf(big('a')));
      const requests = [filesRequest(bytes('one'), bytes('two')), pieceRequest(big('a'), 0)];
      const [files, piece] = await test.fetched(...requests);
      assert.deepEqual(filesOf(files), [bytes('two')]);
      assert.equal(piece?.body, 'notHere');
    });

    it('refuses a wrong request, whatever was asked before (SEC-4)', async () => {
      await hold(big('a'));
      const wrong = pieceRequest(big('a'), 3);
      await assert.rejects(test.fetched(pieceRequest(big('a'), 0), wrong), (error) =>
        isErrorWithCode(error, 'MESSAGE_INVALID'),
      );
    });
  });

  describe('from what is arriving (PULL-11)', () => {
    it('brings a piece that has come, not one that has not', async () => {
      await stage(big('a'));
      const piece = Buffer.from(pieceOf(big('a'), 1));
      await test.dp.sender.sendPiece(action(2), hashOf(big('a')), 1, piece);
      const answers = await test.fetched(pieceRequest(big('a'), 1), pieceRequest(big('a'), 0));
      assert.deepEqual(answers[0]?.piece?.data, pieceOf(big('a'), 1));
      assert.equal(answers[0]?.piece?.pieceIndex, 1);
      assert.equal(answers[1]?.body, 'notHere');
    });

    it('brings files of both places in the order of the request', async () => {
      const held = many(20);
      await hold(...held);
      const staged = [bytes('new'), bytes('newer')];
      await stage(...staged);
      const mixed = [staged[1]!, ...held.slice(0, 9), staged[0]!, ...held.slice(9)];
      const request = filesRequest(bytes('lost'), ...mixed);
      const [both, onlyStaged] = await test.fetched(request, filesRequest(...staged));
      assert.deepEqual(filesOf(both), mixed);
      assert.deepEqual(
        both?.files?.files.map(({ fileHash }) => fileHash.toString('hex')),
        mixed.map(hashOf),
      );
      assert.deepEqual(filesOf(onlyStaged), staged);
    });

    it('looks in the library once more: what was not there may just have been adopted', async () => {
      await test[Symbol.asyncDispose]();
      let adopt: () => Promise<unknown> = async () => {};
      const adopted = async () => {
        await adopt();
        return undefined;
      };
      const arrivingBytes = { readPiece: adopted, readSmall: adopted };
      test = await ContentServerTest.open(() => ({ arrivingBytes }));
      const contents = [bytes('one'), bytes('two'), big('a')];
      const version = await test.dp.publish(1, treeOf(contents));
      adopt = () => test.dp.sender.distribute(version, 1);
      const [piece] = await test.fetched(pieceRequest(big('a'), 1));
      assert.deepEqual(piece?.piece?.data, pieceOf(big('a'), 1));
      const late = [bytes('three'), bytes('one')];
      const next = await test.dp.publish(2, treeOf(late));
      adopt = () => test.dp.sender.distribute(next, 2);
      const [files] = await test.fetched(filesRequest(bytes('lost'), ...late));
      assert.deepEqual(filesOf(files), late);
    });
  });

  describe('memory of answers', () => {
    const streamOf = (dpId: string, requests: readonly FetchRequest__Output[]) =>
      test.conversation
        .fetch(each(requests), test.contextOf(dpId))
        [Symbol.asyncIterator]() as AsyncGenerator<EncodedAnswer, void>;
    const stream = (...requests: FetchRequest__Output[]) => streamOf('PS1DP2', requests);
    const request = received(pieceRequest(big('a'), 0));
    let leave: () => void;
    beforeEach(async () => {
      await hold(big('a'));
      // As long as anybody reads, memory is kept for the next message.
      leave = test.pieceSource.join('somebody else');
    });
    afterEach(() => leave());

    it('is used again when the next answer is asked for, and not before', async () => {
      const answers = stream(request, request, request);
      const first = await answers.next();
      assert.equal(test.pieceSource.spareBytes, 0);
      const second = await answers.next();
      assert.equal((second.value as Buffer).buffer, (first.value as Buffer).buffer);
      await answers.next();
      assert.equal((await answers.next()).done, true);
      assert.equal(test.pieceSource.spareBytes, frameMemoryBytes);
    });

    it('is never used again when the call is over: the transport may have it still', async () => {
      const answers = stream(request, request);
      await answers.next();
      await answers.return();
      assert.equal(test.pieceSource.spareBytes, 0);
      const other = stream(request);
      assert.equal((await other.next()).done, false, 'others have their turn');
      await other.return();
    });

    it('is given back when a later request is refused', async () => {
      const answers = stream(request, received(pieceRequest(big('a'), 9)));
      await answers.next();
      await assert.rejects(answers.next(), (error) => isErrorWithCode(error, 'MESSAGE_INVALID'));
      assert.equal(test.pieceSource.spareBytes, frameMemoryBytes);
    });

    it('of one caller is bounded, and holds up no other one (SEC-4)', async () => {
      const { callerAnswersMax } = defaultContentServerConfig;
      const streams = Array.from({ length: callerAnswersMax + 1 }, () => stream(request));
      const last = streams[callerAnswersMax]!;
      await Promise.all(streams.slice(0, callerAnswersMax).map((one) => one.next()));
      let isAnswered = false;
      const waiting = last.next().finally(() => {
        isAnswered = true;
      });
      const other = streamOf('PS1DP3', [request, request, request]);
      for await (const answer of other) assert.ok(answer.length > pieceBytes);
      assert.equal(isAnswered, false);
      await streams[0]!.return();
      assert.equal((await waiting).done, false);
      for (const one of streams) await one.return();
    });
  });
}).timeout(10_000);
