import assert from 'node:assert/strict';
import { join } from 'node:path';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { type ProgramEnd, programs, runProgram, runWaybill } from './programs.ts';
import { writeFiles } from './source-files.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1', 'PS2DP2'] },
];
const bob: PeerIdentity = {
  ...{ kind: 'admin', role: 'operator', name: 'bob' },
  scope: { siteCodes: ['PS1'], groupNames: ['Lab'] },
};
const bobUri = 'waybill://admin/operator/bob?site=PS1&group=Lab';

describe('an administrator with a scope, in a hierarchy of real sites (SEC-1, ADM-5)', () => {
  let network: HierarchyNetwork;
  let top: Administrator;
  let packageId: string;

  before(async () => {
    network = await HierarchyNetwork.start({ sites });
    top = await network.administrator('CS1');
    const source = join(network.directory, 'source');
    await writeFiles(source, { 'readme.txt': 'read me' });
    packageId = await top.create(source);
    await top.distributionPointsAre((points) => points.length === 3);
    const full = await runWaybill({ cliOptions: network.cliOptionsOf('CS1') }, [
      'group',
      'add',
      'Lab',
    ]);
    assert.equal(full.exitCode, 0, full.stderr);
  });

  after(() => network?.stop());

  /** Runs `waybill` at a site as bob. */
  async function asBob(siteCode: string, line: string): Promise<ProgramEnd> {
    const directory = join(network.directory, 'certs');
    const [files] = await issueDevelopmentHierarchy({ directory, identities: [bob] });
    assert.ok(files);
    const certificate = ['--cert', files.certificateFile, '--key', files.keyFile];
    const connection = ['--server', network.agent(siteCode).address, '--ca', files.caFile];
    return runProgram(programs.waybill, [...line.split(' '), ...connection, ...certificate]);
  }

  async function refused(siteCode: string, line: string): Promise<string> {
    const { exitCode, stderr, stdout } = await asBob(siteCode, line);
    assert.equal(exitCode, 1, `${line}: ${stdout}`);
    return stderr;
  }

  it('does what lies in it, at whatever site, and the DP of another site gets it', async () => {
    const own = await asBob('CS1', `package distribute ${packageId} --dp PS1DP1`);
    assert.equal(own.exitCode, 0, own.stderr);
    await top.installed({ packageId, dpId: 'PS1DP1' });
    const away = `package distribute ${packageId} --dp PS2DP1`;
    assert.match(await refused('CS1', away), /outside it: distribution point PS2DP1 of site PS2\./);
    const joined = ['group', 'join', 'Lab', 'PS2DP1'];
    const full = await runWaybill({ cliOptions: network.cliOptionsOf('CS1') }, joined);
    assert.equal(full.exitCode, 0, full.stderr);
    const inGroup = await asBob('CS1', away);
    assert.equal(inGroup.exitCode, 0, inGroup.stderr);
    // Its own site takes the row that replication brings, and knows nothing of bob.
    await top.installed({ packageId, dpId: 'PS2DP1' });
  });

  it('does all or nothing, and hears what lies outside', async () => {
    const everywhere = await refused('CS1', `package remove ${packageId} --dp PS1DP1 --dp PS2DP2`);
    assert.match(
      everywhere,
      /outside it: distribution point PS2DP2 of site PS2\. Nothing was changed/,
    );
    assert.match(everywhere, /Leave that out, or ask an administrator who may change it/);
    await top.installed({ packageId, dpId: 'PS1DP1' });
    const theirs = await refused('CS1', `package update ${packageId}`);
    assert.match(theirs, new RegExp(`outside it: package ${packageId} of site CS1`));
    const made = await refused('CS1', `package create --name Mine --source ${network.directory}`);
    assert.match(made, /outside it: site CS1/);
  });

  it('is told what no scope, or another role, holds; all of it is written down', async () => {
    assert.match(
      await refused('CS1', 'dp delete PS1DP1 --yes'),
      /takes an administrator with full/,
    );
    const groups = await refused('CS1', 'group join Other PS1DP1');
    assert.match(groups, /outside it: group Other/);
    assert.equal((await asBob('CS1', 'status')).exitCode, 0, 'he sees everything');
    const written = (await top.auditRecords()).filter(({ caller }) => caller === bobUri);
    const results = new Map(
      written.map(({ method, result }) => [method.split('/').at(-1), result]),
    );
    assert.deepEqual(Object.fromEntries(results), {
      DistributePackage: 'ok',
      RemovePackage: 'SCOPE_EXCEEDED',
      UpdatePackage: 'SCOPE_EXCEEDED',
      CreatePackage: 'SCOPE_EXCEEDED',
      DeleteDistributionPoint: 'PEER_NOT_ALLOWED',
      JoinGroup: 'SCOPE_EXCEEDED',
    });
  });
});
