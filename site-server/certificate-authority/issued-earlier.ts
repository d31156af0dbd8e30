import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type FileOwner,
  readSecretFile,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { parseHolder } from '../../shared/domain/revocation.ts';
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
    return text === undefined ? [] : parseIssuedEarlier(text);
  }
}

const count = z.int().min(0);
const issuedSchema = z.object({
  kind: z.literal(['leaf', 'authority']),
  serialNumber: z.string().regex(/^[0-9a-f]{1,64}$/),
  holder: z.string().refine((text) => parseHolder(text) !== undefined),
  identityUri: z.string().refine((text) => fromIdentityUri(text) !== undefined),
  issuedAtMs: count,
  notBeforeMs: count,
  notAfterMs: count,
  knownRevokedAtMs: count.exactOptional(),
  rootKeyId: z.string().regex(/^([0-9a-f]{64})?$/),
});

/** What such a file lists, but what somebody's editor has spoilt: a site server starts all the same. */
export function parseIssuedEarlier(text: string): IssuedCertificateRecord[] {
  return listIn(text)
    .map((one) => issuedSchema.safeParse(one).data)
    .filter((issued) => issued !== undefined);
}

function listIn(text: string): readonly unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}
