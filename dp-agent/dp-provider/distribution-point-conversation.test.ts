import assert from 'node:assert/strict';
import { toStandingMessage } from '../../shared/certificate-keeper/standing-message.ts';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import {
  TestDistributionPoint,
  TestSender,
} from '../../shared/package-receiver/testing/test-distribution-point.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { BeginRequest__Output } from '../../shared/rpc/generated/waybill/v1/BeginRequest.ts';
import type { BeginResponse__Output } from '../../shared/rpc/generated/waybill/v1/BeginResponse.ts';
import type {
  PutContentRequest,
  PutContentRequest__Output,
} from '../../shared/rpc/generated/waybill/v1/PutContentRequest.ts';
import type {
  PutManifestRequest,
  PutManifestRequest__Output,
} from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import { methodDefinition } from '../../shared/rpc/service-definitions.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { collect, TestLibrary } from '../../shared/testing/test-library.ts';
import { distributionPointConversation } from './distribution-point-conversation.ts';

const packageId = 'PS100001';
const action = { packageId, jobSerial: 1 };
const told = {
  ...{ notBeforeMs: 1_000, notAfterMs: 2_000, state: 'expired' as const, reason: 'it expired' },
  ...{ issuerSiteCode: 'PS1', rootKeyId: 'ab'.repeat(32) },
};
const self = {
  ...{ dpId: 'PS1DP1', siteCode: 'PS1', agentVersion: '1.2.3' },
  certificate: () => told,
};
const context: CallContext = {
  caller: { identity: { kind: 'site', siteCode: 'PS1' }, address: '127.0.0.1:1' },
  signal: new AbortController().signal,
};

/** Messages as they arrive. */
async function* arrived<Message>(
  method: 'putContent' | 'putManifest',
  messages: Iterable<PutContentRequest | PutManifestRequest>,
): AsyncGenerator<Message> {
  const { requestSerialize, requestDeserialize } = methodDefinition('DistributionPoint', method);
  for (const message of messages) yield requestDeserialize(requestSerialize(message)) as Message;
}

async function refuses(field: string, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isErrorWithCode(error, 'MESSAGE_INVALID'), `${field}: ${error}`);
    const { details } = error;
    assert.equal(details.code === 'MESSAGE_INVALID' && details.field, field);
    return true;
  });
}

describe('DistributionPoint conversation', () => {
  let directory: TemporaryDirectory;
  let source: TestLibrary;
  let dp: TestDistributionPoint;
  let sender: TestSender;
  let conversation: ReturnType<typeof distributionPointConversation>;
  let receivedBytes: number;

  const big = Buffer.alloc(2 * pieceBytes, 'b');
  const small = Buffer.from('small');

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    source = await TestLibrary.open({ directory: directory.join('site') });
    dp = await TestDistributionPoint.open({ directory: directory.join('dp') });
    sender = new TestSender(source, dp.provider);
    receivedBytes = 0;
    conversation = distributionPointConversation(dp.provider, dp.library, self, (bytes) => {
      receivedBytes += bytes;
    });
  });
  afterEach(async function () {
    this.timeout(10_000);
    await dp[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const putContent = (...messages: PutContentRequest[]) =>
    collect(
      conversation.putContent(arrived<PutContentRequest__Output>('putContent', messages), context),
    );
  const putManifest = (...messages: PutManifestRequest[]) =>
    conversation.putManifest(arrived<PutManifestRequest__Output>('putManifest', messages), context);

  async function begun() {
    const version = await source.commit(packageId, 1, { a: small, b: big });
    await sender.begin(version, 1);
    await sender.wanted(version, 1);
    return version;
  }

  it('says who it is and how much room there is, to whoever meant it (DM-4)', async () => {
    const answer = await conversation.check({ dpId: 'PS1DP1' }, context);
    assert.ok(Number(answer.freeBytes) > 0);
    const { certificate, ...expected } = self;
    assert.deepEqual(
      { ...answer, freeBytes: 0 },
      { ...expected, freeBytes: 0, certificate: toStandingMessage(certificate()) },
    );
    await refuses('dp_id', conversation.check({ dpId: 'PS1DP2' }, context));
  });

  it('takes manifests inside Begin, and answers with what it wants of them', async () => {
    const { packageHash, ...version } = await source.commit(packageId, 1, { a: small, b: big });
    const [manifest, signature] = await sender.manifestOf(`${packageId}.1`);
    const toHash = (hash: string) => Buffer.from(hash, 'hex');
    const contents = version.contents.map((content) => ({
      ...content,
      contentHash: toHash(content.contentHash),
      signatureHash: toHash(content.signatureHash),
    }));
    const properties = { name: 'Office', priority: 'PRIORITY_NORMAL' as const };
    const request = {
      action,
      package: { ...version, packageHash: toHash(packageHash), contents, properties },
      manifests: [{ contentId: `${packageId}.1`, manifest, signature }],
    };
    const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } =
      methodDefinition('DistributionPoint', 'begin');
    const arrivedRequest = requestDeserialize(requestSerialize(request)) as BeginRequest__Output;
    const answer = await conversation.begin(arrivedRequest, context);
    const { inspected, contentIdsWithoutManifest } = responseDeserialize(
      responseSerialize(answer),
    ) as BeginResponse__Output;
    assert.deepEqual(contentIdsWithoutManifest, []);
    assert.equal(inspected[0]?.wanted?.missingBytes, String(small.length + big.length));
    assert.deepEqual(
      inspected[0]?.wanted?.files.map(({ entryIndex }) => entryIndex),
      ['0', '1'],
    );
  });

  it('says which files are here, without an action, and refuses what cannot be asked', async () => {
    await sender.distribute(await source.commit(packageId, 1, { a: small }), 1);
    const hashes = Buffer.from(hashOf(big) + hashOf(small) + hashOf(small), 'hex');
    const sizeBytes = [String(big.length), String(small.length), '1'];
    const { held } = await conversation.findFiles({ hashes, sizeBytes }, context);
    assert.deepEqual([...(held as Buffer)], [0b010], 'the second, and not of another size');
    const none = await conversation.findFiles({ hashes: Buffer.alloc(0), sizeBytes: [] }, context);
    assert.equal((none.held as Buffer).length, 0);
    const short = { hashes: hashes.subarray(1), sizeBytes };
    await refuses('hashes', conversation.findFiles(short, context));
    const many = { hashes: Buffer.alloc(32 * 8_193), sizeBytes: new Array(8_193).fill('1') };
    await refuses('size_bytes', conversation.findFiles(many, context));
    const huge = { hashes: hashes.subarray(0, 32), sizeBytes: ['18446744073709551615'] };
    await refuses('size_bytes', conversation.findFiles(huge, context));
  });

  it('acknowledges each message once, in order, and not the opening', async () => {
    await begun();
    const piece = (pieceIndex: number) => ({
      piece: {
        fileHash: Buffer.from(hashOf(big), 'hex'),
        pieceIndex,
        data: big.subarray(0, pieceBytes),
      },
    });
    const files = {
      files: { files: [{ fileHash: Buffer.from(hashOf(small), 'hex'), data: small }] },
    };
    const answers = await putContent({ open: action }, piece(0), files, piece(1));
    assert.deepEqual(answers, [{}, {}, {}]);
    assert.equal(receivedBytes, big.length + small.length);
    const { packageHash } = await conversation.commit(
      { action: { ...action, jobSerial: '1' } },
      context,
    );
    const listed = await collect(conversation.listPackages({}, context));
    assert.deepEqual(listed, [{ packageId, sourceVersion: 1, packageHash, lackingFiles: 0 }]);
  });

  /** Messages in parts of so many bytes, as a low limit cuts them. */
  function* inFragments(message: PutContentRequest, bytes: number): Generator<PutContentRequest> {
    const { requestSerialize } = methodDefinition('DistributionPoint', 'putContent');
    const encoded = requestSerialize(message);
    for (let offset = 0; offset < encoded.length; offset += bytes) {
      const data = encoded.subarray(offset, offset + bytes);
      yield { fragment: { data, last: offset + bytes >= encoded.length } };
    }
  }

  it('puts messages that come in fragments together, and acknowledges each once (PTM-6)', async () => {
    await begun();
    const fileHash = Buffer.from(hashOf(big), 'hex');
    const piece = (pieceIndex: number) => ({
      piece: { fileHash, pieceIndex, data: big.subarray(0, pieceBytes) },
    });
    const files = {
      files: { files: [{ fileHash: Buffer.from(hashOf(small), 'hex'), data: small }] },
    };
    const answers = await putContent(
      { open: action },
      ...inFragments(piece(0), 98_304),
      ...inFragments(files, 1),
      piece(1),
    );
    assert.deepEqual(answers, [{}, {}, {}]);
    assert.equal(receivedBytes, big.length + small.length);
    const { packageHash } = await conversation.commit(
      { action: { ...action, jobSerial: '1' } },
      context,
    );
    assert.equal(packageHash?.length, 32);
  });

  it('refuses fragments that make no message (SEC-4)', async () => {
    await begun();
    const fileHash = Buffer.from(hashOf(small), 'hex');
    const files = { files: { files: [{ fileHash, data: small }] } };
    const [first, ...rest] = inFragments(files, 10);
    assert.ok(first);
    const send = (...messages: PutContentRequest[]) => putContent({ open: action }, ...messages);
    await refuses('body', putContent(first));
    await refuses('body', send(first, files));
    await refuses('body', send(first, {}));
    await refuses('body', send(...inFragments({ open: action }, 4)));
    await refuses('body', send(...inFragments({ fragment: { data: small, last: true } }, 4)));
    await refuses('fragment', send(first, { fragment: { data: Buffer.alloc(0), last: true } }));
    await refuses('fragment', send({ fragment: { data: Buffer.alloc(9, 0xff), last: true } }));
    const long = { fragment: { data: big.subarray(0, pieceBytes), last: false } };
    await refuses('fragment', send(long, long));
    await assert.rejects(
      send(...inFragments({ files: { files: [{ fileHash, data: Buffer.from('smalL') }] } }, 9)),
      (error) => isErrorWithCode(error, 'FILE_HASH_MISMATCH'),
    );
    assert.deepEqual(await send(first, ...rest.slice(0, -1)), [], 'what has no end is nothing');
  });

  it('says what is missing, in entries and bytes', async () => {
    await begun();
    await putContent(
      { open: action },
      {
        piece: {
          fileHash: Buffer.from(hashOf(big), 'hex'),
          pieceIndex: 1,
          data: big.subarray(0, pieceBytes),
        },
      },
    );
    const request = { action: { ...action, jobSerial: '1' }, contentId: `${packageId}.1` };
    assert.deepEqual(await collect(conversation.inspect(request, context)), [
      {
        files: [
          { entryIndex: 0, piecesHeld: Buffer.alloc(0) },
          { entryIndex: 1, piecesHeld: Buffer.of(0b10) },
        ],
        missingBytes: small.length + pieceBytes,
      },
    ]);
  });

  it('refuses messages out of turn', async () => {
    await begun();
    const hash = Buffer.from(hashOf(small), 'hex');
    const files = { files: { files: [{ fileHash: hash, data: small }] } };
    await refuses('body', putContent(files));
    await refuses('body', putContent({}));
    await refuses('body', putContent({ open: action }, { open: action }));
    await refuses('body', putContent({ open: action }, {}));
    await refuses('body', putManifest({ chunk: small }));
    await refuses('body', putManifest());
    const open = { action, contentId: `${packageId}.1` };
    await refuses('body', putManifest({ open }, { open }));
    assert.deepEqual(await putContent(), []);
  });

  it('refuses content that is not what it says (SEC-4)', async () => {
    await begun();
    const hash = Buffer.from(hashOf(small), 'hex');
    const send = (...files: { fileHash: Buffer; data: Buffer }[]) =>
      putContent({ open: action }, { files: { files } });
    await refuses('files', send());
    await refuses('files.file_hash', send({ fileHash: hash.subarray(1), data: small }));
    const half = { fileHash: hash, data: Buffer.alloc(pieceBytes / 2 + 1) };
    await refuses('files', send(half, half));
    await assert.rejects(send({ fileHash: hash, data: Buffer.from('smalL') }), (error) =>
      isErrorWithCode(error, 'FILE_HASH_MISMATCH'),
    );
    const piece = { fileHash: Buffer.from(hashOf(big), 'hex'), pieceIndex: 0, data: small };
    await refuses('piece.data', putContent({ open: action }, { piece }));
    await refuses(
      'piece.file_hash',
      putContent({ open: action }, { piece: { ...piece, fileHash: Buffer.alloc(31) } }),
    );
    await refuses(
      'piece.piece_index',
      putContent({ open: action }, { piece: { ...piece, pieceIndex: 2 } }),
    );
  });

  it('removes a package', async () => {
    const version = await source.commit(packageId, 1, { a: small });
    await sender.distribute(version, 1);
    await conversation.removePackage({ action: { packageId, jobSerial: '2' } }, context);
    assert.deepEqual(await collect(conversation.listPackages({}, context)), []);
    await refuses('action', conversation.removePackage({ action: null }, context));
  });

  it('says what it serves when older work was cancelled, and refuses what names none (PKG-9)', async () => {
    const cancelled = (jobSerial: string) =>
      conversation.cancelAction({ action: { packageId, jobSerial } }, context);
    assert.deepEqual(await cancelled('2'), {});
    const version = await source.commit(packageId, 1, { a: small });
    await sender.distribute(version, 3);
    const packageHash = Buffer.from(version.packageHash, 'hex');
    assert.deepEqual(await cancelled('4'), { installedVersion: 1, packageHash });
    await refuses('action', conversation.cancelAction({ action: null }, context));
  });

  it('says which deltas it wants, and makes files of them (PULL-6, PKG-5)', async () => {
    const version = await source.commit(packageId, 1, { big, small });
    await sender.distribute(version, 1);
    const next = await source.commit(packageId, 2, { big: Buffer.concat([big, small]) });
    await sender.begin(next, 2);
    const later = { packageId, jobSerial: '2' };
    const file = Buffer.concat([big, small]);
    const delta = {
      ...{ fileHash: Buffer.from(hashOf(file), 'hex'), fileBytes: String(file.length) },
      ...{ baseHash: Buffer.from(hashOf(big), 'hex'), baseBytes: String(big.length) },
      ...{ deltaHash: Buffer.from(hashOf(small), 'hex'), deltaBytes: String(small.length) },
      deltaPieceHashes: Buffer.alloc(0),
    };
    const withoutBase = { ...delta, baseHash: delta.fileHash };
    const deltas = [withoutBase, delta];
    const { wanted } = await conversation.offerDeltas({ action: later, deltas }, context);
    assert.deepEqual(wanted, [{ deltaHash: delta.deltaHash, piecesHeld: Buffer.of(1) }]);
    // What lies there under its hash is no delta.
    const made = await conversation.applyDeltas({ action: later }, context);
    assert.deepEqual(made, { madeFiles: 0 });
  });

  it('refuses deltas that cannot be (SEC-4)', async () => {
    const delta = {
      ...{ fileHash: Buffer.alloc(32), fileBytes: '1', baseHash: Buffer.alloc(31), baseBytes: '1' },
      ...{ deltaHash: Buffer.alloc(32), deltaBytes: '1', deltaPieceHashes: Buffer.alloc(0) },
    };
    const request = { action: { packageId, jobSerial: '1' }, deltas: [delta] };
    await refuses('delta.base_hash', conversation.offerDeltas(request, context));
    const many = { ...request, deltas: Array.from({ length: 10_001 }, () => delta) };
    await refuses('deltas', conversation.offerDeltas(many, context));
    await refuses('action', conversation.applyDeltas({ action: null }, context));
  });
}).timeout(10_000);
