/**
 * A test suite whose agent or program tells a secret, by `WAYBILL_TEST_LEAK`: to see that such a run
 * fails. Run by secret-scan.test.ts, not by itself.
 */
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { followLogs, keepLogs } from '../agent-logs.ts';
import { notePassphrase, scanKept, scanProgramEnd } from './produced-output.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const der = privateKey.export({ type: 'pkcs8', format: 'der' }) as Buffer;
const token = `wbt1_${'aZ09'.repeat(20)}`;
const passphrase = 'correct horse battery staple';
const leak = process.env.WAYBILL_TEST_LEAK;

/** A process that anybody can see with its words, until it has been seen. */
async function runWithToken(): Promise<void> {
  const child = spawn('sleep', ['2'], { argv0: `sleep ${token}` });
  await Promise.race([once(child, 'exit'), sleep(1_000)]);
  child.kill();
}

describe('agents that tell secrets', () => {
  it('say them', async () => {
    await using directory = await TemporaryDirectory.create();
    const stdout = directory.join('PS1.stdout.log');
    const logs = directory.join('PS1', 'logs');
    mkdirSync(logs, { recursive: true });
    notePassphrase(passphrase);
    const said: Record<string, string> = {
      stdout: `{"msg":"Listening"}\n\n${pem}`,
      passphrase: `{"passphrase":"${passphrase}"}\n`,
    };
    writeFileSync(stdout, said[leak ?? ''] ?? '{"msg":"Listening"}\n');
    const log = leak === 'log' ? `\n{"key":"${der.toString('base64')}"}\n` : '\n';
    writeFileSync(`${logs}/rpc.log`, log);
    if (leak === 'program') scanProgramEnd(['enroll'], { stdout: token, stderr: `bad ${token}` });
    if (leak === 'none') scanProgramEnd(['dp', 'add'], { stdout: token, stderr: '' });
    if (leak === 'transcript') scanKept(token, 'transcript');
    if (leak === 'command-line') await runWithToken();
    followLogs([stdout]);
    keepLogs([stdout]);
  });
});
