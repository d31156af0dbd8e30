import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { packageId, TwoSites } from '../../shared/package-file/testing/two-sites.ts';
import {
  beginningBytes,
  type PrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import { TestExporter } from '../../shared/prestaged-file/testing/test-exporter.ts';
import { noiseOf } from '../../shared/testing/noise.ts';
import { HeldImports } from './held-imports.ts';
import { PrestagedImport } from './prestaged-import.ts';

const big = Buffer.from(noiseOf(300_000, 1));
const first = { 'a.txt': Buffer.from('a'), 'big.bin': big };
const second = { ...first, 'b.txt': Buffer.from('b'), 'more.bin': Buffer.from(noiseOf(90_000, 2)) };
const keptMs = 10 * 86_400_000;
const unaborted = new AbortController().signal;

describe('import of a prestaged file at a distribution point (PKG-12)', () => {
  let sites: TwoSites;
  let exporter: TestExporter;
  let held: HeldImports;
  let prestaged: PrestagedImport;
  let fileCount = 0;

  beforeEach(async () => {
    sites = await TwoSites.open();
    const { library, clock, log } = sites.target;
    const { logger } = log;
    exporter = await TestExporter.create({ nowMs: clock.nowMs() });
    held = new HeldImports({ library, clock, logger }, { keptMs, sweepIntervalMs: 3_600_000 });
    const { authorities } = exporter;
    prestaged = new PrestagedImport(
      { library, held, authorities: () => authorities, clock, logger },
      { reserveBytes: 0 },
    );
    await sites.publish(1, first);
  });
  afterEach(async () => {
    await held.stop();
    await sites[Symbol.asyncDispose]();
  });

  /** What the source site has now, exported. */
  async function file(facts: Partial<PrestagedHead> = {}, baseVersion = 0): Promise<string> {
    const { path, version } = await sites.make(baseVersion);
    const { sourceVersion, packageHash } = version;
    const said = { packageId, sourceVersion, packageHash, baseVersion, ...facts };
    const out = sites.directory.join(`file-${++fileCount}.wbp`);
    await writeFile(out, exporter.file(await readFile(path), said));
    return out;
  }

  const run = (path: string) => prestaged.run(path, () => {}, unaborted);

  async function isHere(bytes: Uint8Array): Promise<boolean> {
    const [isHeld] = await sites.target.library.areHeld([
      { hash: hashOf(bytes), sizeBytes: bytes.length },
    ]);
    return isHeld === true;
  }

  /** Longer than any grace of the library, with a sweep before and after. */
  async function sweepTwice(): Promise<void> {
    await sites.target.library.sweep();
    await sites.target.clock.advance(120_000);
    await sites.target.library.sweep();
  }

  it('brings its files into the library, where they stay, used by nothing', async () => {
    const { result } = await run(await file());
    assert.deepEqual(result, { isServed: false, keptUntilMs: sites.target.clock.nowMs() + keptMs });
    await sweepTwice();
    assert.ok(await isHere(big));
    assert.equal(await sites.target.library.getPackage(packageId), undefined);
    // A version that is served needs nobody to hold its files.
    await sites.receive(await sites.make());
    await held.sweep();
    assert.deepEqual(await readdir(sites.target.library.layout.staging), []);
    await sweepTwice();
    assert.ok(await isHere(big));
  });

  it('lets go of them when their time is over', async () => {
    await run(await file());
    await sites.target.clock.advance(keptMs - 1_000);
    await held.sweep();
    await sweepTwice();
    assert.ok(await isHere(big));
    await held.sweep();
    await sweepTwice();
    assert.equal(await isHere(big), false);
  });

  it('imports again what was imported, and holds it anew', async () => {
    const path = await file();
    await run(path);
    await sites.target.clock.advance(keptMs - 1_000);
    await run(path);
    await held.sweep();
    await sweepTwice();
    assert.ok(await isHere(big));
    assert.deepEqual(await readdir(sites.target.library.layout.staging), [`${packageId}.held`]);
  });

  it('has nothing to do for what is served, and takes nothing older', async () => {
    const path = await file();
    await sites.receive(await sites.make());
    assert.equal((await run(path)).result?.isServed, true);
    await sites.publish(2, second);
    await sites.receive(await sites.make(1));
    await assert.rejects(run(path), { code: 'VERSION_DOWNGRADE' });
    const other = await file({ packageHash: hashOf(Buffer.from('other')) });
    await assert.rejects(run(other), /other content of version 2 is served here/);
  });

  it('takes what changed since the version that is served, and since no other', async () => {
    const full = await sites.make();
    await sites.publish(2, second);
    const path = await file({}, 1);
    await assert.rejects(run(path), /since version 1 .* none of it is here/);
    await sites.receive(full);
    assert.equal((await run(path)).result?.isServed, false);
    assert.ok(await isHere(second['more.bin']));
    assert.equal((await sites.target.library.getPackage(packageId))?.sourceVersion, 1);
  });

  it('keeps nothing of what was altered or is foreign', async () => {
    const path = await file();
    const bytes = await readFile(path);
    for (const at of [40, beginningBytes - 1, beginningBytes + 700, bytes.length - 1]) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      await writeFile(path, altered);
      await assert.rejects(run(path), { code: 'PRESTAGED_FILE_INVALID' });
    }
    const foreign = await TestExporter.create({ nowMs: sites.target.clock.nowMs() });
    const made = await sites.make();
    const { sourceVersion, packageHash } = made.version;
    const said = { packageId, sourceVersion, packageHash };
    await writeFile(path, foreign.file(await readFile(made.path), said));
    await assert.rejects(run(path), /not of a site of this hierarchy/);
    assert.equal(await isHere(big), false);
    await assert.rejects(run('relative.wbp'), { code: 'REQUEST_INVALID' });
  });

  it('refuses what its signer says wrongly of it, and leaves nothing staged', async () => {
    // Signed, and the bytes are those that were signed: but they are no package file of that version.
    const path = await file({ sourceVersion: 9 });
    await assert.rejects(run(path), /sourceVersion is 1, expected 9/);
    assert.deepEqual(await readdir(sites.target.library.layout.staging), []);
  });

  it('holds nothing for ever whose file was damaged', async () => {
    const { staging } = sites.target.library.layout;
    const said = { packageId: 'CS100009', sourceVersion: 2, keptUntilMs: 8.64e15 };
    for (const damaged of [
      { ...said, keptUntilMs: undefined },
      { ...said, keptUntilMs: 'never' },
      { ...said, packageId: '../CS100009' },
      [said],
    ]) {
      await mkdir(join(staging, 'CS100009.held'));
      await writeFile(join(staging, 'CS100009.held', 'held.json'), JSON.stringify(damaged));
      await held.sweep();
      assert.deepEqual(await readdir(staging), [], JSON.stringify(damaged));
    }
  });

  it('removes at the start what a crash left, and nothing that is held', async () => {
    await run(await file());
    const { staging } = sites.target.library.layout;
    await mkdir(join(staging, 'import.held', 'files'), { recursive: true });
    await writeFile(join(staging, 'CS100009.held'), 'damaged');
    await held.start();
    await held.sweep();
    assert.deepEqual(await readdir(staging), [`${packageId}.held`]);
  });

  it('imports one file at a time', async () => {
    const path = await file();
    const running = run(path);
    await assert.rejects(run(path), { code: 'RECEIVER_BUSY' });
    await running;
  });
});
