import { WaybillError } from '../domain/errors.ts';
import { certificateBlocks } from '../rpc/certificate-trust.ts';
import { type FileOwner, readSecretFile, writeSecretFile } from './secret-files.ts';

/**
 * What stands in `agent.pem` and `authority.pem`: a key and its certificate in one file, so that a rename
 * replaces all of it at once.
 */
export interface PairFile {
  /** PEM, PKCS #8. Never logged. */
  readonly key: string;
  /** PEM: its own certificate, then the site authority that issued it, unless the root did. */
  readonly certificates: readonly string[];
}

/**
 * Whether an agent keeps its identity itself: key and certificate are in one file. Otherwise somebody else puts
 * them there, as with development certificates, and no agent writes them.
 */
export function isKeptByAgent(files: {
  readonly certificateFile: string;
  readonly keyFile: string;
}): boolean {
  return files.certificateFile === files.keyFile;
}

const keyBlock = /-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]*-----END PRIVATE KEY-----/;

export function pairFileText({ key, certificates }: PairFile): string {
  return [key, ...certificates].map((pem) => `${pem.trim()}\n`).join('');
}

/** Writes such a file in one step, for its owner only. */
export function writePairFile(path: string, pair: PairFile, owner?: FileOwner): Promise<void> {
  return writeSecretFile(path, pairFileText(pair), owner);
}

/**
 * Reads such a file; undefined when there is none.
 *
 * @throws CERTIFICATE_INVALID when others may read it, or when it does not hold both
 */
export async function readPairFile(path: string): Promise<PairFile | undefined> {
  const text = await readSecretFile(path);
  if (text === undefined) return undefined;
  const [key] = keyBlock.exec(text) ?? [];
  const certificates = certificateBlocks(Buffer.from(text, 'latin1'));
  if (key !== undefined && certificates[0] !== '') return { key, certificates };
  const reason = 'it does not hold a private key and its certificate, PEM both';
  throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason });
}
