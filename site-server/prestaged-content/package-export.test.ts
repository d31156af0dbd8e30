import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { makePackageFile } from '../../shared/package-file/package-file-maker.ts';
import { unpackPackageFile } from '../../shared/package-file/package-file-unpacker.ts';
import { packageId, TwoSites } from '../../shared/package-file/testing/two-sites.ts';
import { beginningBytes } from '../../shared/prestaged-file/prestaged-file-format.ts';
import { readPrestagedBeginning } from '../../shared/prestaged-file/prestaged-file-reader.ts';
import { refusalOfPrestagedFile } from '../../shared/prestaged-file/prestaged-trust.ts';
import { authoritiesOf } from '../../shared/rpc/certificate-trust.ts';
import { TestAuthority } from '../../shared/site-identity/testing/test-authority.ts';
import { noiseOf } from '../../shared/testing/noise.ts';
import { TestIdentity } from '../site-identity/testing/test-identity.ts';
import { PackageExport, unfinishedSuffix } from './package-export.ts';

const base = { 'a.txt': Buffer.from('a'), 'big.bin': Buffer.from(noiseOf(200_000, 1)) };
const tree = { ...base, 'b.txt': Buffer.from('b') };

describe('export of a package (PKG-12)', () => {
  let sites: TwoSites;
  let identity: TestIdentity;
  let authority: TestAuthority;
  let directory: string;
  const unaborted = new AbortController().signal;

  beforeEach(async () => {
    sites = await TwoSites.open();
    const { clock } = sites.source;
    authority = await TestAuthority.create(clock.nowMs());
    identity = await TestIdentity.open({ siteCode: 'PS1', clock, authority });
    directory = sites.directory.join('out');
    await mkdir(directory);
    await sites.publish(1, base);
    await sites.publish(2, tree);
  });
  afterEach(async () => {
    await identity[Symbol.asyncDispose]();
    await sites[Symbol.asyncDispose]();
  });

  /**
   * @param onMake called before a package file is made
   * @param known the versions before the newest that the site knows
   */
  function exporter(onMake: () => Promise<void> = async () => {}, known = [1]): PackageExport {
    const { library, clock, log } = sites.source;
    const { history } = sites;
    return new PackageExport(
      {
        ...{ library, clock, logger: log.logger, identity: identity.keeper },
        makeFile: async (request, options) => {
          await onMake();
          return makePackageFile({ library, history }, request, options);
        },
        knownVersions: async () => known,
        ownDirectories: [sites.directory.join('source')],
      },
      { exportsMax: 1, reserveBytes: 0 },
    );
  }

  const request = (facts: { path?: string; baseVersion?: number; overwrite?: boolean } = {}) => {
    return { packageId, path: `${directory}/x.wbp`, baseVersion: 0, overwrite: false, ...facts };
  };
  const run = (facts = {}, signal = unaborted) => exporter().run(request(facts), () => {}, signal);

  /** Takes what was exported apart at another site. */
  async function arrives(path: string): Promise<void> {
    const { head } = await readPrestagedBeginning(path);
    const needs = { library: sites.target.library, reserveBytes: 0 };
    const order = { path, startBytes: beginningBytes, expected: head };
    const { version, staged } = await unpackPackageFile(needs, order);
    await sites.target.library.commitPackage({ version, jobSerial: 1, staged });
    const held = await sites.target.library.getPackage(packageId);
    assert.equal(held?.packageHash, head.packageHash);
  }

  it('makes one signed file, which holds the whole package', async () => {
    const told: number[] = [];
    const { sourceVersion, fileBytes } = await exporter().run(
      request(),
      ({ totalBytes }) => told.push(totalBytes),
      unaborted,
    );
    assert.equal(sourceVersion, 2);
    assert.deepEqual(await readdir(directory), ['x.wbp']);
    const path = request().path;
    assert.equal((await readFile(path)).length, fileBytes);
    const beginning = await readPrestagedBeginning(path);
    const nowMs = sites.source.clock.nowMs();
    const trust = { authorities: authoritiesOf(Buffer.from(authority.pem)), nowMs };
    assert.equal(refusalOfPrestagedFile(beginning, trust), undefined);
    const { keyId, signature, signedBytes: bytes } = beginning;
    const signed = { siteCode: 'PS1', keyId, signature, bytes, signedAtMs: nowMs };
    await identity.learn('PS1', await identity.row(), '');
    assert.equal(identity.keeper.refusalOf(signed), undefined);
    assert.ok(told.every((totalBytes) => totalBytes === 200_002));
    await arrives(path);
  });

  it('holds only what changed since a version that is known here', async () => {
    const full = await run();
    const path = `${directory}/delta.wbp`;
    const delta = await run({ path, baseVersion: 1 });
    assert.ok(delta.fileBytes < full.fileBytes / 4);
    assert.equal((await readPrestagedBeginning(path)).head.baseVersion, 1);
    await assert.rejects(run({ path: `${directory}/y`, baseVersion: 7 }), {
      message: `base_version: expected one of the versions 1 of package ${packageId}, got 7`,
    });
  });

  it('says why it knows no version to begin from', async () => {
    await assert.rejects(
      exporter(undefined, []).run(request({ baseVersion: 1 }), () => {}, unaborted),
      {
        code: 'REQUEST_INVALID',
        message:
          /before 2: only its source site does, of those published while .* several sites, got 1$/,
      },
    );
    assert.deepEqual(await readdir(directory), []);
  });

  it('writes nowhere else than it may', async () => {
    await writeFile(`${directory}/text`, 'mine');
    await mkdir(`${directory}/folder`);
    await symlink(`${directory}/text`, `${directory}/link`);
    const refused = (path: string, overwrite: boolean, message: RegExp) =>
      assert.rejects(run({ path, overwrite }), { code: 'REQUEST_INVALID', message });
    await refused('x.wbp', false, /absolute path/);
    await refused(`${directory}/none/x.wbp`, false, /in a directory that is there/);
    await refused(`${directory}/text`, true, /a path where nothing is yet, got/);
    await refused(
      `${directory}/folder`,
      true,
      /nothing is yet, got .*, where something else than a file is/,
    );
    await refused(
      `${directory}/link`,
      true,
      /nothing is yet, got .*, where something else than a file is/,
    );
    await refused(sites.directory.join('source/x.wbp'), false, /outside the site server's own/);
    assert.equal(await readFile(`${directory}/text`, 'utf8'), 'mine');
    await run();
    await refused(request().path, false, /--force replaces an exported file/);
    await run({ overwrite: true });
  });

  it('leaves nothing when it is broken off, and takes away what a crash left', async () => {
    await writeFile(`${directory}/x.wbp${unfinishedSuffix}`, 'left');
    await assert.rejects(run({}, AbortSignal.abort()), { name: 'AbortError' });
    assert.deepEqual(await readdir(directory), []);
    await writeFile(`${directory}/x.wbp${unfinishedSuffix}`, 'left');
    await run();
    assert.deepEqual(await readdir(directory), ['x.wbp']);
  });

  it('is done so many at a time, each to a place of its own', async () => {
    let begun = () => {};
    let goOn = () => {};
    const isBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const one = exporter(async () => {
      begun();
      await mayGoOn;
    });
    const first = one.run(request(), () => {}, unaborted);
    await isBegun;
    const refused = (path: string, code: string) =>
      assert.rejects(
        one.run(request({ path }), () => {}, unaborted),
        { code },
      );
    await refused(request().path, 'REQUEST_INVALID');
    await refused(`${directory}/y.wbp`, 'RECEIVER_BUSY');
    goOn();
    assert.equal((await first).sourceVersion, 2);
    const unknown = { ...request(), packageId: 'PS1000FF' };
    await assert.rejects(
      one.run(unknown, () => {}, unaborted),
      { code: 'PACKAGE_NOT_HELD' },
    );
  });
});
