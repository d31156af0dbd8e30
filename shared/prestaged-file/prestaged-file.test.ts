import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { isErrorWithCode } from '../domain/errors.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import {
  beginningBytes,
  decodeBeginning,
  encodePrestagedHead,
  type PrestagedBeginning,
} from './prestaged-file-format.ts';
import { readPrestagedBeginning } from './prestaged-file-reader.ts';
import { refusalOfPrestagedFile } from './prestaged-trust.ts';
import { TestExporter } from './testing/test-exporter.ts';

const isLong = process.env.WAYBILL_TEST_SCALE === 'long';
const nowMs = Date.UTC(2026, 2, 14);
const packageFile = Buffer.from('a package file, as far as this is concerned');

function decoded(file: Buffer): PrestagedBeginning | undefined {
  return decodeBeginning(file.subarray(0, beginningBytes));
}

describe('a prestaged file (PKG-12)', () => {
  let exporter: TestExporter;
  let directory: TemporaryDirectory;

  before(async () => {
    exporter = await TestExporter.create({ nowMs });
    directory = await TemporaryDirectory.create();
  });
  after(() => directory[Symbol.asyncDispose]());

  const refusalOf = (file: Buffer, authorities = exporter.authorities) => {
    const beginning = decoded(file);
    assert.ok(beginning);
    return refusalOfPrestagedFile(beginning, { authorities, nowMs });
  };

  it('says what it carries, and is believed when a site of the hierarchy signed it', () => {
    const facts = { packageId: 'CS1000FF', sourceVersion: 7, baseVersion: 3 };
    const file = exporter.file(packageFile, facts);
    assert.deepEqual(decoded(file)?.head, exporter.head(packageFile, facts));
    assert.equal(refusalOf(file), undefined);
    assert.equal(file.length, beginningBytes + packageFile.length);
  });

  it('is written in one way only: what else stands in the head is nobody’s word', () => {
    const file = exporter.file(packageFile);
    const text = file.toString('latin1', 0, 2_000);
    for (const [from, to] of [
      ['{"packageId"', '{ "packageId'],
      ['"sourceVersion":1', '"sourceVersion":1.0'],
      ['"baseVersion":0', '"baseVersion":1'],
      ['"sourceSiteCode":"CS1"', '"sourceSiteCode":"PS1"'],
    ] as const) {
      const at = text.indexOf(from);
      assert.ok(at > 0, from);
      const altered = Buffer.from(file);
      altered.write(to, at, 'latin1');
      assert.equal(decoded(altered), undefined, to);
    }
  });

  it('has no head that is longer than its room', () => {
    const identity = { ...exporter.identity, certificate: '"'.repeat(16_384) };
    const head = exporter.head(packageFile, { identity });
    assert.throws(() => encodePrestagedHead(head), RangeError);
  });

  it('is not believed from other hierarchies, from others than sites, or out of time', async () => {
    const foreign = await TestExporter.create({ nowMs });
    assert.match(refusalOf(foreign.file(packageFile)) ?? '', /not signed by the hierarchy's CA/);
    const { authority } = exporter;
    const uri = 'waybill://dp/CS1DP1';
    const dp = await TestExporter.create({ nowMs, authority, flaws: { uri } });
    assert.match(refusalOf(dp.file(packageFile)) ?? '', /not that of waybill:\/\/site\/CS1/);
    const flaws = { validMs: -1_000 };
    const expired = await TestExporter.create({ nowMs, authority, flaws });
    assert.match(refusalOf(expired.file(packageFile)) ?? '', /expired/);
  });

  it('is not believed with a key that was retired before, or is none of the site', async () => {
    const { authority } = exporter;
    const retired = await TestExporter.create({ nowMs, authority, retiredAtMs: nowMs - 1 });
    assert.match(refusalOf(retired.file(packageFile)) ?? '', /had retired the signing key/);
    const before = retired.file(packageFile, { madeAtMs: nowMs - 2 });
    assert.equal(refusalOf(before), undefined, 'what was made while the key was in use');
    const other = await TestExporter.create({ nowMs, authority });
    const lent = other.file(packageFile, { identity: exporter.identity });
    assert.match(refusalOf(lent) ?? '', /has no signing key/);
  });

  it('is not read when it is cut, goes on, or is no such file', async () => {
    const file = exporter.file(packageFile);
    const path = directory.join('file.wbp');
    const reads = async (bytes: Buffer) => {
      await writeFile(path, bytes);
      return readPrestagedBeginning(path);
    };
    assert.deepEqual((await reads(file)).head, exporter.head(packageFile));
    const refused = (bytes: Buffer, message: RegExp) =>
      assert.rejects(reads(bytes), (error) => {
        assert.ok(isErrorWithCode(error, 'PRESTAGED_FILE_INVALID'));
        assert.match(error.message, message);
        return true;
      });
    await refused(file.subarray(0, -1), /cut off: 32810 bytes, expected 32811/);
    await refused(Buffer.concat([file, Buffer.alloc(1)]), /goes on after its end/);
    await refused(file.subarray(0, 100), /cut off: 100 bytes, expected at least 32768/);
    await refused(Buffer.alloc(0), /expected a file made by/);
    await refused(Buffer.alloc(40_000, 'x'), /expected a file made by/);
    const empty = exporter.file(packageFile);
    empty.fill(0, 20, 30);
    await refused(empty, /what it says of itself is damaged/);
    await mkdir(directory.join('folder'));
    await assert.rejects(readPrestagedBeginning(directory.join('folder')), /a regular file/);
    await assert.rejects(readPrestagedBeginning(directory.join('none')), /it is not there/);
  });

  const rounds = isLong ? 200_000 : 3_000;
  const seed = isLong ? Date.now() % 1e6 : 1;
  it(`is never believed when a byte of its beginning differs (seed ${seed})`, () => {
    const random = new SeededRandom(seed);
    const sound = exporter.file(packageFile).subarray(0, beginningBytes);
    const used = sound.indexOf('   ');
    const { authorities } = exporter;
    for (let round = 0; round < rounds; round++) {
      const altered = Buffer.from(sound);
      // Where something stands, mostly: the rest is filled up.
      for (let count = random.below(3); count >= 0; count--) alter(altered, random, used);
      if (altered.equals(sound)) continue;
      const beginning = decodeBeginning(altered);
      if (!beginning) continue;
      const refusal = refusalOfPrestagedFile(beginning, { authorities, nowMs });
      assert.notEqual(refusal, undefined, `round ${round}`);
    }
  });

  it(`decodes whatever stands there without failing otherwise (seed ${seed})`, () => {
    const random = new SeededRandom(seed);
    const sound = exporter.file(packageFile).subarray(0, beginningBytes);
    const json = ['null', '[]', '0', '{}', '"x"', '{"packageId":null}', '[[[[', '{"identity":[]}'];
    for (let round = 0; round < rounds / 10; round++) {
      const bytes = Buffer.from(sound);
      const text = round < json.length ? (json[round] ?? '') : random.bytes(200).toString('latin1');
      bytes.fill(' ', 8, 32_000);
      bytes.write(text, 8, 'latin1');
      assert.equal(decodeBeginning(bytes), undefined);
    }
  });
});

function alter(bytes: Buffer, random: SeededRandom, used: number): void {
  const places = [
    random.below(used),
    bytes.length - 1 - random.below(80),
    random.below(bytes.length),
  ];
  const at = random.pick(places);
  if (random.below(4) > 0) {
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
    return;
  }
  // A run of it stands somewhere else.
  const length = 1 + random.below(40);
  bytes.copy(bytes, random.below(used), at, Math.min(bytes.length, at + length));
}
