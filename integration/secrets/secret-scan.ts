import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Something that must stand in no log and no output. */
export interface FoundSecret {
  readonly where: string;
  /** From 1. */
  readonly line: number;
  /** What kind of secret; never the secret itself. */
  readonly kind: string;
}

const patterns: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['a private key (PEM)', /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/],
  ['an enrollment token', /wbt1_[A-Za-z0-9_-]{20,}/],
];

/** How private keys begin in DER, as far as they may be ours: PKCS #8 and SEC 1, in base64. */
const derBeginnings = [
  'MIGHAgEAMBMGByqGSM49',
  'MHcCAQEE',
  'MC4CAQAwBQYDK2Vw',
  'MIIE',
  'MIG2AgEAMBAG',
];
const base64Run = /[A-Za-z0-9+/]{48,}={0,2}/g;

/** Looks for private keys, tokens and passphrases in what programs say. */
export class SecretScan {
  readonly #passphrases = new Set<string>();

  /** From now on this text is a passphrase. */
  note(passphrase: string): void {
    this.#passphrases.add(passphrase);
  }

  /** What stands in a text, by its lines. @param where a file, or what said it */
  inText(text: string, where: string): FoundSecret[] {
    return text.split('\n').flatMap((line, index) => this.#inLine(line, where, index + 1));
  }

  /** The same of a file. */
  inFile(path: string): FoundSecret[] {
    return this.inText(readFileSync(path, 'utf8'), path);
  }

  #inLine(line: string, where: string, number: number): FoundSecret[] {
    const kinds = patterns.filter(([, pattern]) => pattern.test(line)).map(([kind]) => kind);
    for (const passphrase of this.#passphrases) {
      if (line.includes(passphrase)) kinds.push('a passphrase');
    }
    if (hasPrivateKey(line)) kinds.push('a private key (DER in base64)');
    return kinds.map((kind) => ({ where, line: number, kind }));
  }
}

/** A run of base64 that begins as a private key does, and is one. */
function hasPrivateKey(line: string): boolean {
  for (const [run] of line.matchAll(base64Run)) {
    for (const beginning of derBeginnings) {
      const at = run.indexOf(beginning);
      if (at >= 0 && isPrivateKey(run.slice(at))) return true;
    }
  }
  return false;
}

function isPrivateKey(base64: string): boolean {
  const der = Buffer.from(base64, 'base64');
  const length = lengthOfDer(der);
  if (length === undefined || length > der.length) return false;
  const key = der.subarray(0, length);
  return (['pkcs8', 'sec1', 'pkcs1'] as const).some((type) => {
    try {
      createPrivateKey({ key, format: 'der', type });
      return true;
    } catch {
      return false;
    }
  });
}

/** How long the sequence is that begins here, with its head. */
function lengthOfDer(der: Buffer): number | undefined {
  if (der.length < 4 || der.readUInt8(0) !== 0x30) return undefined;
  const first = der.readUInt8(1);
  if (first < 0x80) return first + 2;
  if (first === 0x81) return der.readUInt8(2) + 3;
  return first === 0x82 ? der.readUInt16BE(2) + 4 : undefined;
}
