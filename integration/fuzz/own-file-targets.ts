/** Parsers of files that agents keep for themselves beside library and store, and of backups of the authority. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { heldImportText, parseHeldImport } from '../../dp-agent/prestaged-content/held-import.ts';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { parseContentId } from '../../shared/domain/content.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import type { SigningKey } from '../../shared/domain/site.ts';
import { PatchListBuilder, readPatchList } from '../../shared/package-file/patch-list.ts';
import { SortedHashes } from '../../shared/package-file/sorted-hashes.ts';
import {
  parseVersionContents,
  versionContentsText,
} from '../../shared/package-file/version-history-layout.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { keyIdOf, publicKeyOf } from '../../shared/site-identity/identity-check.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import {
  backupText,
  filesInBackup,
  isOfBackup,
  parseBackup,
} from '../../site-server/certificate-authority/backup-file.ts';
import { parseIssuedEarlier } from '../../site-server/certificate-authority/issued-earlier.ts';
import {
  parseStandingReport,
  toStandingLines,
} from '../../site-server/certificate-authority/standing-report.ts';
import {
  parseSigningKeyList,
  signingKeyListText,
} from '../../site-server/site-identity/signing-key-list.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { putInput } from './input-file.ts';
import { refusing } from './refusing.ts';

const json = (...all: unknown[]) => all.map((one) => Buffer.from(JSON.stringify(one)));
const hashes = Array.from({ length: 400 }, (_, index) => hashOf(Buffer.of(index, index >> 8)));
const [hash = ''] = hashes;

const authorityFiles = {
  'authority.pem': '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  'trust-bundle.json': '{"generation":1}',
  'root-0123456789abcdef.key': '-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n',
};
const backupFacts = { siteCode: 'CS1', createdAtMs: 5 };
/** No half second for each guess. */
const backupSecret = async () => Buffer.alloc(32, 7);

/** A backup with the sum of what it has: without, all that is changed is refused by its sum alone. */
function summedUp(input: Buffer): string {
  const text = input.toString('utf8');
  const backup = jsonIn(text);
  if (typeof backup !== 'object' || backup === null || !('content' in backup)) return text;
  const { content } = backup;
  const base64 =
    typeof content === 'string' ? content : Buffer.from(JSON.stringify(content)).toString('base64');
  const sum = createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
  return JSON.stringify({ ...backup, content: base64, sha256: sum });
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function newKey(retiredAtMs: number): SigningKey {
  const { publicKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const facts = { createdAtMs: 5, retiredAtMs };
  return { keyId: keyIdOf(der), publicKey: der.toString('base64'), ...facts };
}

const issued: IssuedCertificateRecord = {
  ...{ kind: 'leaf', serialNumber: '0a', holder: 'admin/bob', rootKeyId: hash },
  ...{ identityUri: 'waybill://admin/full/bob', issuedAtMs: 5, notBeforeMs: 4, notAfterMs: 9 },
  knownRevokedAtMs: 0,
};
const standings = {
  ...{ seenAtMs: 1_700_000_000_000, generation: 2, silent: ['SS1', 'SS2'] },
  standings: [{ siteCode: 'PS1', generation: 2, behind: ['dp/PS1DP1'], behindCount: 3 }],
};
const content = {
  ...{ contentId: 'PS100001.1', contentHash: hash, signatureHash: hash, manifestBytes: 10 },
  ...{ signatureBytes: 0, entryCount: 1, fileCount: 1, sizeBytes: 1 },
};

/** A list of patches, behind the hash of all that follows. */
function patchList(): Buffer {
  const builder = new PatchListBuilder();
  const bytes = Buffer.from('how one file is made from another');
  const file = { fileHash: hash, fileBytes: 40, baseHash: hashes[1] ?? '', baseBytes: 50 };
  for (let count = 0; count < 3; count++) {
    builder.add({ ...file, patchBytes: bytes.length, bytes } as never);
  }
  return builder.finish();
}

/** What was written and read again; -0 is written as 0. */
function assertSame(again: unknown, read: unknown): void {
  assert.equal(JSON.stringify(again), JSON.stringify(read));
}

export const ownFileTargets: readonly FuzzTarget[] = [
  {
    name: 'authority-backup',
    form: 'json',
    words: ['"content":', '"encryption":{', '"salt":""', '"tag":"AA=="', '../authority.pem'],
    seeds: async () => [
      Buffer.from(await backupText(authorityFiles, backupFacts)),
      Buffer.from(await backupText(authorityFiles, backupFacts, backupSecret)),
      ...json({
        ...(jsonIn(await backupText({}, backupFacts)) as object),
        content: authorityFiles,
      }),
    ],
    parse: async (input) => {
      for (const text of [input.toString('utf8'), summedUp(input)]) {
        await refusing(['CERTIFICATE_INVALID'], async () => {
          const files = await filesInBackup('/backup', parseBackup('/backup', text), backupSecret);
          // They become names of files.
          assert.ok(Object.keys(files).every((name) => isOfBackup(name) && !/[/\0]/.test(name)));
          const again = parseBackup('/backup', await backupText(files, backupFacts));
          assert.deepEqual(await filesInBackup('/backup', again, undefined), files);
        });
      }
    },
  },
  {
    name: 'signing-key-list',
    form: 'json',
    words: ['"keyId":', '"publicKey":', '"retiredAtMs":0'],
    seeds: () => [Buffer.from(signingKeyListText([newKey(0), newKey(7), newKey(6)]))],
    parse: (input) => {
      const keys = parseSigningKeyList(input.toString('utf8'));
      assert.equal(new Set(keys.map(({ keyId }) => keyId)).size, keys.length);
      assert.ok(keys.every((key) => publicKeyOf(key) !== undefined));
      // The first one is in use, and no other.
      assert.ok(keys.slice(1).every(({ retiredAtMs }) => retiredAtMs > 0));
      assertSame(parseSigningKeyList(signingKeyListText(keys)), keys);
    },
  },
  {
    name: 'issued-earlier',
    form: 'json',
    words: ['"holder":', '"issuedAtMs":', 'dp/PS1DP1', 'site/PS1'],
    seeds: () =>
      json([
        issued,
        {
          ...issued,
          ...{ kind: 'authority', holder: 'site/PS1', identityUri: 'waybill://site/PS1' },
        },
      ]),
    parse: (input) => {
      for (const one of parseIssuedEarlier(input.toString('utf8'))) {
        // Its place in the table.
        const key = joinKey(one.kind, ...one.holder.split('/'), one.issuedAtMs, one.serialNumber);
        assert.equal(key.split('/').length, 5);
        assertSame(parseIssuedEarlier(JSON.stringify([one])), [one]);
      }
    },
  },
  {
    name: 'standing-report',
    form: 'json',
    words: ['"seenAtMs":', '"behind":[', '"behindCount":', 'dp/PS1DP1'],
    seeds: () => json(standings),
    parse: (input) => {
      const report = parseStandingReport(input.toString('utf8'));
      for (const line of toStandingLines(report)) assert.equal(toVisibleText(line), line);
    },
  },
  {
    name: 'held-import',
    form: 'json',
    words: ['"packageId":', '"sourceVersion":', '"keptUntilMs":'],
    seeds: () => [
      Buffer.from(
        heldImportText({ packageId: 'PS100001', sourceVersion: 2, keptUntilMs: 1_700_000_000_000 }),
      ),
    ],
    parse: (input) => {
      const held = parseHeldImport(input.toString('utf8'));
      if (held) assertSame(parseHeldImport(heldImportText(held)), held);
    },
  },
  {
    name: 'version-contents',
    form: 'json',
    words: ['"contentId":', '"manifestBytes":', hash, '../../PS100001'],
    seeds: () => [Buffer.from(versionContentsText([content, { ...content, contentId: 'b.1' }]))],
    parse: (input) => {
      const contents = parseVersionContents(input.toString('utf8'));
      if (!contents) return;
      // They become names of files.
      assert.ok(contents.every(({ contentId }) => parseContentId(contentId) !== undefined));
      assertSame(parseVersionContents(versionContentsText(contents)), contents);
    },
  },
  {
    name: 'patch-list',
    form: 'bytes',
    seeds: () => [patchList()],
    parse: (input) => {
      const records = input.subarray(32);
      const right = Buffer.concat([Buffer.from(hashOf(records), 'hex'), records]);
      for (const whole of [input, right]) {
        let sizeBytes = 0;
        for (const { bytes } of readPatchList(putInput(whole))) sizeBytes += bytes.length;
        assert.ok(sizeBytes <= input.length);
      }
    },
  },
  {
    name: 'sorted-hashes',
    form: 'bytes',
    seeds: () => [
      Buffer.from([...hashes].sort().join(''), 'hex'),
      Buffer.from(hashes.slice(0, 3).sort().join(''), 'hex'),
    ],
    parse: (input) => {
      using found = new SortedHashes(putInput(input));
      for (let index = 0; index < hashes.length; index += 40) {
        const one = hashes[index] ?? '';
        // Fewer than it should have, and none that it does not have.
        if (found.has(one)) assert.ok(input.includes(Buffer.from(one, 'hex')));
      }
    },
  },
];
