/** Parsers of what content travels and is kept as. */
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { verifySignature } from '../../shared/content-library/data-library.ts';
import { decodeDeltaList, encodeDeltaList } from '../../shared/content-library/delta-list.ts';
import {
  decodeEntry,
  decodeHeader,
  encodeEntry,
  encodeHeader,
  ManifestLineError,
} from '../../shared/content-library/manifest-format.ts';
import { ManifestReader } from '../../shared/content-library/manifest-reader.ts';
import {
  copyBytesMin,
  encodeHeader as encodeDeltaHeader,
  FrameBuilder,
} from '../../shared/delta/delta-format.ts';
import { deltaOperations } from '../../shared/delta/delta-reader.ts';
import { MemoryBytes } from '../../shared/delta/small-delta.ts';
import type { ContentDescriptor, ContentEntry } from '../../shared/domain/content.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { readBeginning } from '../../shared/package-file/package-file-beginning.ts';
import {
  decodeHead,
  decodeRecord,
  encodeRecord,
  recordFieldBytes,
} from '../../shared/package-file/package-file-format.ts';
import { RawStream } from '../../shared/package-file/raw-stream.ts';
import { forgedBlock, forgedFile } from '../../shared/package-file/testing/forged-file.ts';
import { frameContentBytes } from '../../shared/package-file/zstd-frame.ts';
import { decodeBundle, encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import {
  beginningBytes,
  decodeBeginning,
  encodeBeginning,
  encodePrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import { pieceHashesOf, toVersion } from '../../shared/testing/test-library.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { putInput } from './input-file.ts';
import { refusing } from './refusing.ts';

const packageId = 'PS100001';
const contentId = 'PS100001.1';
const mtimeNs = '1700000000123456789';
const bytes = Buffer.from('some bytes of a file that is not long, and that is said twice');
const hash = hashOf(bytes);

/** In the order of the bytes of their names. */
const entries: readonly ContentEntry[] = [
  {
    ...{ type: 'file', depth: 0, name: 'big', sizeBytes: 2 * 1024 * 1024 + 5, mode: 0o644 },
    ...{ mtimeNs, hash },
  },
  { type: 'directory', depth: 0, name: 'bin', mode: 0o755, mtimeNs },
  { type: 'file', depth: 1, name: 'a.exe', sizeBytes: bytes.length, mode: 0o644, mtimeNs, hash },
  { type: 'symlink', depth: 1, name: 'link', target: 'a.exe', mtimeNs },
  {
    ...{ type: 'file', depth: 1, name: 'é"ü.txt', sizeBytes: 0, mode: 0o600 },
    ...{ mtimeNs, hash: hashOf(Buffer.alloc(0)) },
  },
];
const sizeBytes = bytes.length + 2 * 1024 * 1024 + 5;
const counts = { contentId, entryCount: 5, fileCount: 3, sizeBytes };
const lines = Buffer.from(entries.map((entry) => `${encodeEntry(entry)}\n`).join(''));
const manifest = Buffer.concat([Buffer.from(encodeHeader(counts)), lines]);
const signature = Buffer.concat([pieceHashesOf(Buffer.alloc(2 * 1024 * 1024 + 5))]);
const descriptor: ContentDescriptor = {
  ...{ ...counts, contentHash: hashOf(lines), signatureHash: hashOf(signature) },
  ...{ manifestBytes: manifest.length, signatureBytes: signature.length },
};
const version = toVersion(packageId, 2, [descriptor]);

const manifestWords = ['["d",0,"', '["f",', '["l",', '0', '1', '262144', hash, '../', mtimeNs];

/** The operations of a delta that makes 40 bytes of a base of 100. */
const delta: Delta = {
  ...{ fileHash: hash, fileBytes: 40, baseHash: hashOf(Buffer.from('b')), baseBytes: 100 },
  ...{ deltaHash: hash, deltaBytes: 100, deltaPieceHashes: '' },
};

function deltaSeed(isPacked: boolean): Buffer {
  const frame = new FrameBuilder({ isPacked });
  frame.insert(Buffer.from('0123'));
  frame.copy(60, copyBytesMin);
  frame.insert(Buffer.from('4567'));
  return Buffer.concat([encodeDeltaHeader(delta), frame.take() ?? Buffer.alloc(0)]);
}

const records = [
  encodeRecord({ kind: 'manifest' }),
  encodeRecord({ kind: 'file', hash, sizeBytes: 7 }),
  encodeRecord({ kind: 'delta', contentIndex: 0, delta }),
  encodeRecord({ kind: 'patch', patch: { ...delta, patchBytes: 20 } }),
  encodeRecord({ kind: 'manifest-delta', baseContentId: 'PS100001.0', delta }),
];
const packageFile = forgedFile({
  version,
  items: [
    { record: { kind: 'manifest' }, bytes: manifest },
    { record: { kind: 'signature' }, bytes: signature },
    { record: { kind: 'file', hash, sizeBytes: bytes.length }, bytes },
  ],
});

function prestagedSeed(): Buffer {
  const key = { keyId: '0123456789abcdef', publicKey: 'AAAA', createdAtMs: 1, retiredAtMs: 0 };
  const identity = {
    ...{ siteCode: 'PS1', address: 'ps1:8530', agentVersion: '1', signingKeys: [key] },
    ...{ signedAtMs: 1, certificate: 'pem', signature: 'AAAA' },
  };
  const head = encodePrestagedHead({
    ...{ packageId, sourceVersion: 2, baseVersion: 0, packageHash: hash, fileHash: hash },
    ...{ fileBytes: 10, madeAtMs: 5, identity },
  });
  return encodeBeginning(head, { keyId: key.keyId, signature: Buffer.alloc(64) });
}

/** What a prestaged file says, without the spaces that fill it up. */
function filledUp(text: Buffer): Buffer {
  const filled = Buffer.alloc(beginningBytes, ' ');
  text.subarray(0, beginningBytes - 81).copy(filled);
  filled.write('\n', beginningBytes - 81, 'latin1');
  filled.write('0123456789abcdef', beginningBytes - 80, 'latin1');
  return filled;
}

export const contentTargets: readonly FuzzTarget[] = [
  {
    name: 'manifest',
    form: 'text',
    words: manifestWords,
    seeds: () => [manifest],
    parse: (input) =>
      refusing(['MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'], async () => {
        for await (const batch of new ManifestReader(input, descriptor).entries()) {
          for (const { entry } of batch) assert.doesNotMatch(entry.name, /^\.\.?$|[/\0]/);
        }
      }),
  },
  {
    name: 'manifest-line',
    form: 'json',
    words: manifestWords,
    seeds: () => entries.map((entry) => Buffer.from(encodeEntry(entry))),
    parse: (input) => {
      const line = input.toString('utf8');
      for (const read of [
        () => assert.equal(encodeEntry(decodeEntry(line)), line),
        () => assert.equal(encodeHeader(decodeHeader(line)), `${line}\n`),
      ]) {
        try {
          read();
        } catch (error) {
          if (!(error instanceof ManifestLineError)) throw error;
        }
      }
    },
  },
  {
    name: 'signature',
    form: 'bytes',
    seeds: () => [signature],
    parse: (input) =>
      refusing(['MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'], async () => {
        await verifySignature(input, descriptor);
        assert.deepEqual(input, signature);
      }),
  },
  {
    name: 'delta',
    form: 'bytes',
    seeds: () => [deltaSeed(true), deltaSeed(false)],
    parse: (input) =>
      refusing(['DELTA_INVALID'], () => {
        let made = 0;
        for (const one of deltaOperations(new MemoryBytes(input), delta)) {
          made += one.kind === 'copy' ? one.lengthBytes : one.bytes.length;
          if (one.kind === 'copy')
            assert.ok(one.offset >= 0 && one.offset + one.lengthBytes <= 100);
        }
        assert.equal(made, 40);
      }),
  },
  {
    name: 'delta-list',
    form: 'text',
    words: [hash, '[', ']', ',', '\n'],
    seeds: () => [Buffer.from(encodeDeltaList(contentId, [delta, delta]))],
    parse: (input) => {
      const list = decodeDeltaList(contentId, input.toString('utf8'));
      if (list) assert.ok(list.every((one) => one.deltaBytes > 0));
    },
  },
  {
    name: 'package-file-head',
    form: 'bytes',
    seeds: () => [packageFile.subarray(0, 4_096)],
    parse: (input) => {
      const path = putInput(input);
      const { packageHash } = version;
      const expected = { packageId, sourceVersion: 2, baseVersion: 0, packageHash };
      decodeHead(input.subarray(0, 512));
      return refusing(['PACKAGE_FILE_INVALID'], () => readBeginning(path, expected as never));
    },
  },
  {
    name: 'package-file-blocks',
    form: 'bytes',
    seeds: () => [
      Buffer.concat([forgedBlock(Buffer.alloc(3_000, 'words')), forgedBlock(bytes)]),
      forgedBlock(Buffer.alloc(10)),
    ],
    parse: (input) => {
      const path = putInput(input);
      const handle = openSync(path, 'r');
      const refused = new Error('refused');
      const refuse = () => {
        throw refused;
      };
      try {
        const rawBytes = 3_000 + bytes.length;
        const places = { descriptor: handle, startBytes: 0, endBytes: input.length, rawBytes };
        const stream = new RawStream({ ...places, refuse });
        while (stream.leftBytes > 0) stream.next(1_000);
        stream.end();
      } catch (error) {
        if (error !== refused) throw error;
      } finally {
        closeSync(handle);
      }
    },
  },
  {
    name: 'package-file-records',
    form: 'bytes',
    seeds: () => records,
    parse: (input) => {
      for (let at = 0; at < input.length; ) {
        const kindByte = input.readUInt8(at);
        const fieldBytes = recordFieldBytes(kindByte);
        if (fieldBytes === undefined || at + 1 + fieldBytes > input.length) return;
        const end = at + 1 + fieldBytes;
        const record = decodeRecord(kindByte, input.subarray(at + 1, end));
        if (record) assert.deepEqual(encodeRecord(record), input.subarray(at, end));
        at = end;
      }
    },
  },
  {
    name: 'zstd-frame',
    form: 'bytes',
    seeds: () => [forgedBlock(Buffer.alloc(3_000, 'words')).subarray(8)],
    parse: (input) => {
      const count = frameContentBytes(input);
      assert.ok(count === undefined || count >= 0);
    },
  },
  {
    name: 'bundle',
    form: 'protobuf',
    seeds: () => [encodeBundle(version).bytes],
    parse: (input) =>
      refusing(['MESSAGE_INVALID'], () => {
        const read = decodeBundle(input, packageId);
        assert.equal(read.packageId, packageId);
        assert.deepEqual(decodeBundle(encodeBundle(read).bytes, packageId), read);
      }),
  },
  {
    name: 'prestaged',
    form: 'text',
    words: ['"keyId":', '"identity":{', '"signingKeys":[', packageId, hash],
    seeds: () => [Buffer.from(prestagedSeed().toString('latin1').split('  ')[0] ?? '', 'latin1')],
    parse: (input) => {
      for (const whole of [filledUp(input), input]) {
        const read = decodeBeginning(whole);
        if (read) assert.ok(read.head.fileBytes >= 0 && read.signature.length === 64);
      }
    },
  },
];
