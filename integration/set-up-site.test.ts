import assert from 'node:assert/strict';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { issueLeafWithKey } from '../shared/certificates/certificate-issuing.ts';
import { type PairFile, readPairFile, writePairFile } from '../shared/certificates/pair-file.ts';
import { fromRootsFileText, writeRootsFile } from '../shared/certificates/trusted-roots.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import { AgentProcess } from './agent-process.ts';
import { freePort } from './free-port.ts';
import { type ProgramEnd, programs, runProgram } from './programs.ts';

const dayMs = 24 * 3_600_000;
const lookMs = 50;
const waitMsMax = 60_000;

describe('a site that was set up by one command (SEC-1, SEC-2)', function () {
  this.timeout(180_000);
  let directory: string;
  let home: string;
  let site: AgentProcess;
  let dp: AgentProcess;
  const at = (...names: string[]) => join(directory, ...names);
  const config = () => ['--config', at('site.yaml')];
  const waybillSite = (...words: string[]) => runProgram(programs.waybillSite, words, { home });
  const waybill = async <T>(...words: string[]): Promise<T> => {
    const end = await runProgram(programs.waybill, [...words, '--json'], { home });
    assert.equal(end.exitCode, 0, end.stderr);
    return JSON.parse(end.stdout) as T;
  };
  const succeeded = ({ exitCode, stdout, stderr }: ProgramEnd) => {
    assert.equal(exitCode, 0, stderr);
    return stdout;
  };

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waybill-'));
    home = at('home');
    await mkdir(home);
    const listen = `127.0.0.1:${await freePort()}`;
    const words = ['--site', 'CS1', '--listen', listen, '--data', at('data'), '--admin', 'alice'];
    const enrollment = ['--enrollment-listen', `127.0.0.1:${await freePort()}`];
    const told = succeeded(await waybillSite('init', ...words, ...enrollment, ...config()));
    assert.match(told, /Site CS1 is set up, at the top of a new hierarchy/);
    assert.match(told, /waybill-site --config .*site\.yaml/);
    // Sites stand on a new root at once.
    await appendFile(at('site.yaml'), 'authority:\n  rootOverlapHours: 0\n');
    site = agent('CS1', programs.waybillSite, at('site.yaml'));
    dp = agent('CS1DP1', programs.waybillDp, at('dp.yaml'));
    followLogs([site.logPath, dp.logPath]);
    await site.start();
  });

  after(async () => {
    await Promise.all([site?.kill(), dp?.kill()]);
    if (site) keepLogs([site.logPath, dp.logPath]);
    await rm(directory, { recursive: true, force: true });
  });

  function agent(name: string, program: string, configPath: string): AgentProcess {
    return new AgentProcess({ name, program, configPath, logPath: at(`${name}.log`) });
  }

  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (const startMs = performance.now(); performance.now() - startMs < waitMsMax; ) {
      if (await isSo()) return;
      await sleep(lookMs);
    }
    throw new Error(`${what} did not come to be`);
  }

  const generationOf = async (path: string) =>
    fromRootsFileText(await readFile(path, 'latin1')).generation;

  /** What the enrollment of a DP would give it, and again after the root changed. */
  async function certify(): Promise<void> {
    const authority = await readPairFile(at('data', 'authority', 'authority.pem'));
    const [certificate = ''] = authority?.certificates ?? [];
    const nowMs = Date.now();
    const leaf = await issueLeafWithKey(
      { certificate, key: authority?.key ?? '' },
      {
        ...{ commonName: 'dp/CS1DP1', uris: ['waybill://dp/CS1DP1'] },
        ...{ notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + dayMs) },
      },
    );
    const pair: PairFile = { key: leaf.key, certificates: [leaf.certificate, certificate] };
    await writePairFile(at('dp.pem'), pair);
  }

  it('runs, and its first administrator needs no options', async () => {
    const [own] = await waybill<{ siteCode: string }[]>('site', 'list');
    assert.equal(own?.siteCode, 'CS1');
  });

  it('takes a distribution point that its authority vouches for', async () => {
    await certify();
    const text = await readFile(at('data', 'identity', 'roots.crt'), 'latin1');
    await writeRootsFile(at('dp-roots.crt'), fromRootsFileText(text));
    const certificates = {
      ...{ caFile: at('dp-roots.crt'), certificateFile: at('dp.pem'), keyFile: at('dp.pem') },
    };
    const settings = { dpId: 'CS1DP1', siteCode: 'CS1', listen: '127.0.0.1:0' };
    await writeFile(
      at('dp.yaml'),
      stringify({ ...settings, dataDirectory: at('dp'), certificates }),
    );
    await dp.start();
    await waybill('dp', 'add', 'CS1DP1', '--address', dp.address);
    await until('a DP that is reached', isDpReached);
  });

  it('is not set up twice', async () => {
    const again = await waybillSite('init', '--site', 'CS1', '--data', at('data'), ...config());
    assert.equal(again.exitCode, 1);
    assert.match(again.stderr, /site\.yaml: there is a configuration already.*Nothing was changed/);
    const wrong = await waybillSite('init', '--site', 'cs', ...config());
    assert.equal(wrong.exitCode, 2);
    assert.match(wrong.stderr, /--site cs: expected three of A-Z and 0-9/);
    assert.match(wrong.stderr, /\nUsage: waybill-site init --site CODE \[--kind KIND\] /);
    const half = await waybillSite('init', '--site', 'CS2', '--data', at('half'));
    assert.equal(half.exitCode, 2);
    assert.match(half.stderr, /--data .*half: expected --config as well/);
    await assert.rejects(readdir(at('half')), { code: 'ENOENT' });
  });

  it('changes the root while it runs, and works when the old one is retired', async () => {
    const early = await waybillSite('retire-root', ...config());
    assert.match(early.stderr, /there is only one root/);
    assert.match(succeeded(await waybillSite('rotate-root', ...config())), /generation 2/);
    const roots = at('data', 'identity', 'roots.crt');
    await until('two roots', async () => (await generationOf(roots)) === 2);
    // The DP hears of it by its site; the administrator when he uses `waybill`, once a day.
    await until('two roots', async () => (await generationOf(at('dp-roots.crt'))) === 2);
    const adminRoots = join(home, '.config', 'waybill', 'roots.crt');
    await utimes(adminRoots, 0, 0);
    await waybill('site', 'list');
    assert.equal(await generationOf(adminRoots), 2);
    const issuer = async () =>
      (await readPairFile(at('data', 'identity', 'agent.pem')))?.certificates[1];
    const authority = async () =>
      (await readPairFile(at('data', 'authority', 'authority.pem')))?.certificates[0];
    const before = await readFile(at('home', '.config', 'waybill', 'agent.pem'), 'utf8');
    await until('an authority under the new root', async () => {
      const shown = await issuer();
      return shown === (await authority()) && !before.includes(shown ?? '');
    });
    // What is restarted shows the new chain, and what was issued before is heard: both roots count.
    await site.kill();
    await certify();
    await dp.kill();
    await Promise.all([site.start(), dp.start()]);
    await until('a DP that is reached', isDpReached);
    assert.match(
      succeeded(await waybillSite('retire-root', '--force', ...config())),
      /generation 3/,
    );
    await until('one root', async () => (await generationOf(roots)) === 3);
    await until('one root', async () => (await generationOf(at('dp-roots.crt'))) === 3);
    const keys = await readdir(at('data', 'authority'));
    assert.equal(keys.filter((name) => name.endsWith('.key')).length, 1);
    await site.kill();
    await site.start();
    // The administrator, who knew of both, has renewed his own under the new one.
    await waybill('site', 'list');
    await certify();
    await dp.kill();
    await dp.start();
    await until('a DP that is reached', isDpReached);
  });

  it('loses its keys, and has them back from the backup', async () => {
    const out = at('cs1.json');
    await writeFile(at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    const secret = ['--passphrase-file', at('passphrase')];
    succeeded(await waybillSite('backup-authority', '--out', out, ...secret, ...config()));
    assert.ok(!(await readFile(out, 'utf8')).includes('PRIVATE'));
    await site.kill();
    await rename(at('data', 'authority'), at('lost-authority'));
    await rename(at('data', 'identity'), at('lost-identity'));
    succeeded(await waybillSite('restore-authority', '--in', out, ...secret, ...config()));
    await site.start();
    await waybill('site', 'list');
    await until('a DP that is reached', isDpReached);
  });

  /** `dp check` fails when the DP cannot be reached. */
  async function isDpReached(): Promise<boolean> {
    return (await runProgram(programs.waybill, ['dp', 'check', 'CS1DP1'], { home })).exitCode === 0;
  }
});
