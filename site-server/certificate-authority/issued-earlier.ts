import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FileOwner,
  readSecretFile,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import type { IssuedCertificates } from './issued-certificates.ts';

const fileName = 'issued-earlier.json';
/** A setting up issues two. */
const countMax = 100;

/**
 * What commands have issued while no site server ran that could write it down: a file beside the keys, which
 * the next site server takes into its table. A crash in between takes it in twice, as the same rows.
 */
export class IssuedEarlier {
  readonly #path: string;
  readonly #owner: FileOwner | undefined;

  constructor(directory: string, owner?: FileOwner) {
    this.#path = join(directory, fileName);
    this.#owner = owner;
  }

  async record(issued: IssuedCertificateRecord): Promise<void> {
    const all = [...(await this.#read()), issued].slice(-countMax);
    await writeSecretFile(this.#path, `${JSON.stringify(all, null, 2)}\n`, this.#owner);
  }

  /** Hands all of it to the table, and forgets it here. @throws DISK_FULL; CERTIFICATE_INVALID */
  async handOver(table: Pick<IssuedCertificates, 'record'>): Promise<void> {
    const all = await this.#read();
    for (const issued of all) await table.record(issued);
    if (all.length > 0) await rm(this.#path, { force: true });
  }

  async #read(): Promise<IssuedCertificateRecord[]> {
    const text = await readSecretFile(this.#path);
    if (text === undefined) return [];
    try {
      return JSON.parse(text) as IssuedCertificateRecord[];
    } catch {
      // Somebody's editor; nothing goes by it.
      return [];
    }
  }
}
