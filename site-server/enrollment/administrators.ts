import type { Administrator } from '../../shared/domain/administrator.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What keeping administrators needs. */
export interface AdministratorsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

type AdminIdentity = Extract<PeerIdentity, { kind: 'admin' }>;

/**
 * The administrators that this site's authority vouches for, or is to: who is not among them gets no
 * certificate, and no new one. Owns the table "administrators". One change after another, each synced.
 */
export class Administrators {
  readonly #components: AdministratorsComponents;
  readonly #queue = new SerialQueue();

  constructor(components: AdministratorsComponents) {
    this.#components = components;
  }

  /** Adds one; the same again changes nothing. @throws ADMINISTRATOR_EXISTS in another role or scope */
  add(identity: AdminIdentity, createdBy: string): Promise<Administrator> {
    return this.#queue.run(async () => {
      const identityUri = toIdentityUri(identity);
      const before = await this.#get(identity.name);
      if (before && before.identityUri !== identityUri) {
        const { name } = identity;
        const facts = { name, identityUri: before.identityUri };
        throw new WaybillError({ code: 'ADMINISTRATOR_EXISTS', ...facts });
      }
      return before ?? this.#put(newAdministrator(identity, this.#nowMs, createdBy, 0));
    });
  }

  /** One who was given a certificate and is not in this table: the first of a hierarchy, or of a table that was lost. */
  wasEnrolled(identity: AdminIdentity, atMs: number): Promise<void> {
    return this.#queue.run(async () => {
      // Not one who was deleted since.
      if (await this.#rows.get(identity.name)) return;
      await this.#put(newAdministrator(identity, atMs, '', atMs));
    });
  }

  /** He has a certificate. */
  enrolled(name: string): Promise<void> {
    return this.#queue.run(async () => {
      const before = await this.#get(name);
      if (before) await this.#put({ ...before, enrolledAtMs: this.#nowMs });
    });
  }

  /**
   * Takes one out.
   *
   * @param also what is to be written in the same batch
   * @throws ADMINISTRATOR_UNKNOWN
   */
  delete(name: string, also: readonly Change[]): Promise<Administrator> {
    return this.#queue.run(async () => {
      const before = await this.#get(name);
      if (!before) throw new WaybillError({ code: 'ADMINISTRATOR_UNKNOWN', name });
      await this.#put({ ...before, deletedAtMs: this.#nowMs }, also);
      return before;
    });
  }

  /** Whether this very identity, role and scope included, is an administrator of this site's making. */
  async has(identity: AdminIdentity): Promise<boolean> {
    const row = await this.#get(identity.name);
    return row?.identityUri === toIdentityUri(identity);
  }

  /** All, by name. */
  async *list(): AsyncGenerator<Administrator> {
    for await (const [, row] of this.#rows.list()) if (row.deletedAtMs === undefined) yield row;
  }

  async #get(name: string): Promise<Administrator | undefined> {
    const row = await this.#rows.get(name);
    return row?.deletedAtMs === undefined ? row : undefined;
  }

  async #put(row: Administrator, also: readonly Change[] = []): Promise<Administrator> {
    await this.#components.store.write([this.#rows.put(row.name, row), ...also], { sync: true });
    return row;
  }

  get #nowMs(): number {
    return this.#components.clock.nowMs();
  }

  get #rows() {
    return this.#components.store.records(keySpaces.administrators);
  }
}

function newAdministrator(
  identity: AdminIdentity,
  createdAtMs: number,
  createdBy: string,
  enrolledAtMs: number,
): Administrator {
  const { name } = identity;
  return { name, identityUri: toIdentityUri(identity), createdAtMs, createdBy, enrolledAtMs };
}
