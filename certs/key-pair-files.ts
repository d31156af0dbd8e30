import { open, readFile, rename } from 'node:fs/promises';
import type { IssuedCertificate } from '../shared/certificates/certificate-issuing.ts';
import { WaybillError } from '../shared/domain/errors.ts';

/** Where a certificate and its key lie. */
export interface KeyPairFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/**
 * The pair, or undefined when there is no certificate. A key alone is what a crash left between the
 * two; it is replaced.
 *
 * @throws CERTIFICATE_INVALID for a certificate without its key: somebody took it away
 */
export async function readPair(files: KeyPairFiles): Promise<IssuedCertificate | undefined> {
  const certificate = await readIfThere(files.certificateFile);
  if (certificate === undefined) return undefined;
  const key = await readIfThere(files.keyFile);
  if (key !== undefined) return { certificate, key };
  const reason = `its key ${files.keyFile} is missing; put it back, or remove the certificate`;
  throw new WaybillError({ code: 'CERTIFICATE_INVALID', path: files.certificateFile, reason });
}

/** Writes the key, readable by its owner only, then the certificate, each in one step. */
export async function writePair(files: KeyPairFiles, pair: IssuedCertificate): Promise<void> {
  await writeWhole(files.keyFile, pair.key, 0o600);
  await writeWhole(files.certificateFile, pair.certificate, 0o644);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeWhole(path: string, pem: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  await using file = await open(temporary, 'w', mode);
  await file.chmod(mode);
  await file.writeFile(`${pem.trimEnd()}\n`);
  await file.sync();
  await rename(temporary, path);
}
