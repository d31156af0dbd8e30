import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { leaveOut } from './produced-output.ts';
import { SecretScan } from './secret-scan.ts';

const pem = { type: 'pkcs8', format: 'pem' } as const;
const der = { type: 'pkcs8', format: 'der' } as const;
const keys = [
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('ed25519'),
  generateKeyPairSync('rsa', { modulusLength: 2_048 }),
];
const kindsIn = (text: string) => new SecretScan().inText(text, 'x').map(({ kind }) => kind);

describe('secrets in a text (F43)', () => {
  it('a private key is found as PEM, encrypted or not, also inside JSON', () => {
    for (const { privateKey } of keys) {
      const text = privateKey.export(pem) as string;
      assert.deepEqual(new SecretScan().inText(`first\n${text}`, 'x')[0], {
        ...{ where: 'x', line: 2, kind: 'a private key (PEM)' },
      });
      assert.ok(kindsIn(JSON.stringify({ key: text })).includes('a private key (PEM)'));
      const locked = privateKey.export({
        ...pem,
        cipher: 'aes-256-cbc',
        passphrase: 'p',
      }) as string;
      assert.deepEqual(kindsIn(locked), ['a private key (PEM)']);
    }
  });

  it('a private key is found as DER in base64, also within more of it', () => {
    for (const { privateKey } of keys) {
      const text = (privateKey.export(der) as Buffer).toString('base64');
      for (const line of [
        text,
        `"key":"${text}"`,
        `AAAA${text}`,
        `${text.replaceAll('=', '')}AAAA`,
      ]) {
        assert.deepEqual(kindsIn(line), ['a private key (DER in base64)'], line);
      }
    }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const sec1 = privateKey.export({ type: 'sec1', format: 'der' }) as Buffer;
    assert.deepEqual(kindsIn(sec1.toString('base64')), ['a private key (DER in base64)']);
  });

  it('public keys, hashes and certificates are none', () => {
    for (const { publicKey } of keys) {
      const text = publicKey.export({ type: 'spki', format: 'der' }) as Buffer;
      assert.deepEqual(kindsIn(text.toString('base64')), []);
      assert.deepEqual(kindsIn(publicKey.export({ type: 'spki', format: 'pem' }) as string), []);
    }
    assert.deepEqual(kindsIn('ab'.repeat(300)), []);
  });

  it('tokens and passphrases are found', () => {
    assert.deepEqual(kindsIn(`echo wbt1_${'aZ09-_'.repeat(12)}`), ['an enrollment token']);
    assert.deepEqual(kindsIn('a token begins with wbt1_'), []);
    const scan = new SecretScan();
    scan.note('correct horse');
    const found = scan.inText('{"passphrase":"correct horse"}', 'x');
    assert.deepEqual(found, [{ where: 'x', line: 1, kind: 'a passphrase' }]);
  });
});

/** Runs mocha on a suite whose agents say what they must not. @returns its exit code and output */
function runLeaking(leak: string): Promise<{ code: number; output: string }> {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const mocha = fileURLToPath(new URL('../../../node_modules/mocha/bin/mocha.js', import.meta.url));
  const words = [mocha, '--require', path('../mocha-hooks.js'), path('leaking-suite.js')];
  const env = { ...process.env, WAYBILL_TEST_LEAK: leak };
  return new Promise((resolve) => {
    const options = { env, timeout: 60_000 };
    const child = execFile(process.execPath, words, options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
    leaveOut(child.pid);
  });
}

describe('a whole test run (F43)', () => {
  it('fails when an agent has said a secret, with file and line; the secret is not told again', async () => {
    for (const [leak, expected] of [
      ['stdout', /PS1\.stdout\.log:3: a private key \(PEM\)/],
      ['log', /PS1\/logs\/rpc\.log:2: a private key \(DER in base64\)/],
      ['program', /stderr of waybill enroll:1: an enrollment token/],
      ['passphrase', /PS1\.stdout\.log:1: a passphrase/],
      ['command-line', /a command line:1: an enrollment token/],
      ['transcript', /transcript:1: an enrollment token/],
    ] as const) {
      const { code, output } = await runLeaking(leak);
      assert.notEqual(code, 0, `${leak}: ${output}`);
      assert.match(output, expected);
      assert.doesNotMatch(output, /MIG|MC4C|wbt1_[a-z]|correct horse/);
    }
  });

  it('does not fail when nobody has', async () => {
    const { code, output } = await runLeaking('none');
    assert.equal(code, 0, output);
  });
});
