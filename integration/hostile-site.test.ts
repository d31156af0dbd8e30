import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { type ErrorCode, isErrorWithCode } from '../shared/domain/errors.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { encodeMessage } from '../shared/rpc/service-definitions.ts';
import { Administrator } from './administrator.ts';
import { AnyContent, HostileSite, wireHashOf } from './hostile-site.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { foreignClient } from './rpc/foreign-client.ts';
import { writeFiles } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const dpId = 'PS1DP1';
const mtime = '1700000000000000000';
const small = Buffer.from('small');
const anyHash = 'ab'.repeat(32);

/** A file entry as manifests have it; any field can be anything. */
const file = (name: unknown, size: unknown = small.length, hash: unknown = hashOf(small)) =>
  ['f', 0, name, size, 0o644, mtime, hash] as const;
const directory = (name: string, depth = 0) => ['d', depth, name, 0o755, mtime] as const;
const link = (name: string, target: string, depth = 0) =>
  ['l', depth, name, target, mtime] as const;

/** Manifests that no receiver may follow, although every hash in them is right. */
const hostileManifests: readonly (readonly [
  name: string,
  reason: string,
  entries: readonly unknown[],
])[] = [
  ['a name with ../', 'the name holds a slash', [file('../../outside')]],
  ['the name ..', 'the name is ".."', [directory('..')]],
  ['an absolute name', 'the name holds a slash', [file('/etc/cron.d/waybill')]],
  ['a name with NUL', 'the name holds a NUL character', [file('harmless\0.txt')]],
  ['an empty name', 'the name is empty', [file('')]],
  ['a name of 300 bytes', 'the name is longer than 255 bytes', [file('x'.repeat(300))]],
  ['a name twice', 'the name is there twice', [file('a'), file('a')]],
  [
    'names that are one after normalisation',
    'the name is there twice once Unicode is normalised',
    [file('cafe\u0301'), file('caf\u00e9')],
  ],
  ['names out of order', 'the name is out of order', [file('b'), file('a')]],
  [
    'a file below a file',
    'the entry is deeper than the directory before',
    [file('a'), ['f', 1, 'b', 5, 0o644, mtime, hashOf(small)]],
  ],
  [
    'a file below a link',
    'the entry is deeper than the directory before',
    [link('a', 'b'), ['f', 1, 'b', 5, 0o644, mtime, hashOf(small)]],
  ],
  ['a link that leaves the tree', 'the target is outside the tree', [link('a', '../../etc')]],
  ['an absolute link', 'the target is absolute', [link('a', '/etc/passwd')]],
  ['a negative size', 'size is not a whole number', [file('a', -1)]],
  ['a size beyond all disks', 'size is not a whole number', [file('a', 2 ** 60)]],
  ['a size that is no number', 'size is not a whole number', [file('a', '5')]],
  [
    'a hash that is none',
    'hash is not 64 lower-case hexadecimal digits',
    [file('a', 5, '../../../../etc/passwd')],
  ],
  [
    'a set-uid bit out of range',
    'mode is over 0o7777',
    [['f', 0, 'a', 5, 0o100644, mtime, hashOf(small)]],
  ],
  ['a device', 'the kind of entry is none of "d", "f", "l"', [['c', 0, 'null', 0o666, mtime]]],
  ['no JSON', 'the line is not JSON', ['rm -rf /']],
];

describe('a site that somebody has taken over, at a DP (SEC-4, bad input)', () => {
  let network: Network;
  let outsideBefore: string[];
  let packageCount = 0;
  let pid: number | undefined;

  before(async () => {
    network = await Network.start({ distributionPoints: [dpId] });
    outsideBefore = await filesOutside();
    pid = network.dp(dpId).pid;
  });

  after(() => network.stop());

  afterEach(async () => {
    assert.deepEqual(
      await filesOutside(),
      outsideBefore,
      'nothing is written but where things arrive',
    );
    assert.equal(network.dp(dpId).pid, pid);
    assert.ok(network.dp(dpId).isRunning, 'the DP goes on');
  });

  /** Every path of the network's directory but what arrives, logs and state. */
  async function filesOutside(): Promise<string[]> {
    const all = await readdir(network.directory, { recursive: true, withFileTypes: true });
    const arriving = /(^|\/)(incoming|staging|logs|state-store[^/]*)(\/|$)/;
    return all
      .map(({ parentPath, name }) => relative(network.directory, join(parentPath, name)))
      .filter((path) => !arriving.test(path))
      .sort();
  }

  /** A hostile site that speaks of a package of its own. */
  function hostile(): Promise<HostileSite> {
    const packageId = `PS1F${(++packageCount).toString(16).toUpperCase().padStart(4, '0')}`;
    return HostileSite.at(network, network.dp(dpId), packageId);
  }

  const failsWith =
    (...codes: ErrorCode[]) =>
    (error: Error) => {
      assert.ok(isErrorWithCode(error, ...codes), `${error}`);
      return true;
    };

  for (const [name, reason, entries] of hostileManifests) {
    it(`a manifest with ${name} is refused`, async () => {
      using site = await hostile();
      const content = new AnyContent(`${site.packageId}.1`, entries);
      await site.begin([content]);
      await assert.rejects(site.putManifest(content), (error: Error) => {
        assert.ok(isErrorWithCode(error, 'MANIFEST_INVALID'), `${error}`);
        assert.ok(error.message.endsWith(`: ${reason}`), error.message);
        return true;
      });
      await assert.rejects(site.commit(), failsWith('CONTENT_NOT_HELD'));
    });
  }

  it('a manifest other than the one that was promised is refused', async () => {
    using site = await hostile();
    const contentId = `${site.packageId}.1`;
    const promised = new AnyContent(contentId, [file('a')]);
    const other = new AnyContent(contentId, [file('b')]);
    await site.begin([promised]);
    const refused = failsWith('CONTENT_HASH_MISMATCH', 'MANIFEST_INVALID');
    await assert.rejects(site.putManifest(other), refused);
    const { manifest } = promised;
    const lengths = failsWith('MESSAGE_INVALID');
    await assert.rejects(site.putManifest(promised, [manifest, Buffer.alloc(1)]), lengths);
    await assert.rejects(site.putManifest(promised, [manifest.subarray(1)]), lengths);
    await assert.rejects(
      site.putManifest(promised, Array(64).fill(Buffer.alloc(mebibyte))),
      lengths,
    );
  });

  it('a version whose numbers are beyond all bounds is refused before anything is allocated', async () => {
    using site = await hostile();
    const contentId = `${site.packageId}.1`;
    for (const claims of [
      { manifestBytes: 2 ** 52 },
      { entryCount: 2 ** 52 },
      { sizeBytes: 2 ** 60 },
      { signatureBytes: 2 ** 60 },
      { contentId: '../../outside' },
      { contentHash: '' },
    ]) {
      const content = new AnyContent(contentId, [file('a')]);
      Object.assign(content, { descriptor: { ...content.descriptor, ...claims } });
      await assert.rejects(site.begin([content]), failsWith('MESSAGE_INVALID'));
    }
    const content = new AnyContent(contentId, [file('a')]);
    for (const claims of [
      { packageId: 'PS100001' },
      { packageId: '../../x' },
      { sourceVersion: 0 },
    ]) {
      await assert.rejects(site.begin([content], claims), failsWith('MESSAGE_INVALID'));
    }
    await assert.rejects(site.begin([content, content]), failsWith('MESSAGE_INVALID'));
    await assert.rejects(site.begin([]), failsWith('MESSAGE_INVALID'));
  });

  it('content without a conversation is refused', async () => {
    using site = await hostile();
    const message = { files: { files: [{ fileHash: wireHashOf(small), data: small }] } };
    const unopened = site.putContent([message], { isOpened: false });
    await assert.rejects(unopened, failsWith('MESSAGE_INVALID'));
    await assert.rejects(site.putContent([message]), failsWith('ACTION_NOT_BEGUN'));
    await assert.rejects(site.commit(), failsWith('ACTION_NOT_BEGUN'));
    await assert.rejects(site.inspect(`${site.packageId}.1`), failsWith('ACTION_NOT_BEGUN'));
  });

  it('bytes other than those of the manifest are refused', async () => {
    using site = await hostile();
    const big = Buffer.alloc(2.5 * mebibyte, 'big');
    const pieces = [0, 1, 2].map((index) => big.subarray(index * mebibyte, (index + 1) * mebibyte));
    const signature = Buffer.concat(pieces.map(wireHashOf));
    const entries = [file('big', big.length, hashOf(big)), file('small')];
    const content = new AnyContent(`${site.packageId}.1`, entries, { signature });
    await site.begin([content]);
    await site.putManifest(content);
    assert.deepEqual(await site.inspect(content.descriptor.contentId), [0, 1]);
    const fileHash = wireHashOf(big);
    const [piece = Buffer.alloc(0)] = pieces;
    const changed = Buffer.from(piece).fill('x', 5, 6);
    for (const [name, message, code] of [
      ['a changed piece', { fileHash, pieceIndex: 0, data: changed }, 'FILE_HASH_MISMATCH'],
      ['a piece of another place', { fileHash, pieceIndex: 1, data: piece }, 'FILE_HASH_MISMATCH'],
      ['a piece behind the end', { fileHash, pieceIndex: 3, data: piece }, 'MESSAGE_INVALID'],
      ['a piece of nowhere', { fileHash, pieceIndex: 2 ** 32 - 1, data: piece }, 'MESSAGE_INVALID'],
      ['half a piece', { fileHash, pieceIndex: 0, data: piece.subarray(9) }, 'MESSAGE_INVALID'],
      ['more than is left', { fileHash, pieceIndex: 2, data: piece }, 'MESSAGE_INVALID'],
      [
        'a file nobody wants',
        { fileHash: Buffer.alloc(32, 1), pieceIndex: 0, data: piece },
        'FILE_NOT_WANTED',
      ],
      [
        'a hash of another length',
        { fileHash: Buffer.from('../x'), pieceIndex: 0, data: piece },
        'MESSAGE_INVALID',
      ],
    ] as const) {
      const putting = site.putContent([{ piece: message }]);
      await assert.rejects(putting, failsWith(code), name);
    }
    const wrong = { fileHash: wireHashOf(small), data: Buffer.from('smell') };
    const putting = site.putContent([{ files: { files: [wrong] } }]);
    await assert.rejects(putting, failsWith('FILE_HASH_MISMATCH'));
    await assert.rejects(site.commit(), failsWith('CONTENT_INCOMPLETE'));
  });

  it('a signature that does not fit its file is refused', async () => {
    using site = await hostile();
    const signature = Buffer.alloc(96, 7);
    const entries = [file('big', 2.5 * mebibyte, anyHash)];
    const content = new AnyContent(`${site.packageId}.1`, entries, { signature });
    await site.begin([content]);
    await site.putManifest(content);
    const data = Buffer.alloc(mebibyte);
    const piece = { fileHash: Buffer.from(anyHash, 'hex'), pieceIndex: 0, data };
    await site.inspect(content.descriptor.contentId);
    await assert.rejects(site.putContent([{ piece }]), failsWith('FILE_HASH_MISMATCH'));
    await assert.rejects(site.commit(), failsWith('CONTENT_INCOMPLETE'));
  });

  it('a message over the limit ends its call only', async () => {
    using site = await hostile();
    const content = new AnyContent(`${site.packageId}.1`, [file('a')]);
    await site.begin([content]);
    const credentials = await readPeerCredentials(
      network.certificateFiles({ kind: 'site', siteCode: 'PS1' }),
    );
    const client = foreignClient(network.dp(dpId).address, credentials);
    const data = Buffer.alloc(8 * mebibyte);
    const piece = { fileHash: Buffer.alloc(32), pieceIndex: 0, data };
    const messages = [
      encodeMessage('DistributionPoint', 'putContent', { open: site.action }),
      encodeMessage('DistributionPoint', 'putContent', { piece }),
    ];
    const path = '/waybill.v1.DistributionPoint/PutContent';
    assert.match(await failureOf(client, path, messages), /RESOURCE_EXHAUSTED|larger than max/);
    await site.putManifest(content);
    client.close();
  });

  it('a real site is served as before', async () => {
    const source = join(network.directory, 'content-library', 'source');
    await writeFiles(source, { 'setup.exe': 'setup' });
    const administrator = await Administrator.of(network);
    const packageId = await administrator.create(source);
    await administrator.install(packageId, dpId);
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
    outsideBefore = await filesOutside();
  });
});

/** What a call of these messages ends with. */
function failureOf(client: Client, path: string, messages: readonly Buffer[]): Promise<string> {
  const asIs = (bytes: Buffer) => bytes;
  const call = client.makeBidiStreamRequest(path, asIs, asIs, new Metadata());
  call.resume();
  for (const message of messages) call.write(message);
  return new Promise((resolve) => {
    call.on('error', (error: ServiceError) => resolve(error.message));
    call.on('end', () => resolve('it ended well'));
  });
}
