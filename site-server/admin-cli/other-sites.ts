import { Admin } from './admin.ts';
import type { AdminChannel } from './admin-channel.ts';
import { CommandFailure } from './command-failure.ts';
import type { Connection } from './connection.ts';
import type { Session } from './session.ts';
import { requireSite } from './site-record.ts';

/**
 * The way to sites besides the connected one, for what only they can answer: their address is asked of
 * the connected site, their identity is checked, and the certificate shown is the same.
 */
export class OtherSites {
  readonly #connection: Pick<Connection, 'openSite'>;
  readonly #channels: AdminChannel[] = [];

  constructor(connection: Pick<Connection, 'openSite'>) {
    this.#connection = connection;
  }

  /** @throws SITE_UNKNOWN, CommandFailure SITE_ADDRESS_UNKNOWN */
  async at(session: Session, siteCode: string | undefined): Promise<Session> {
    if (siteCode === undefined) return session;
    const { admin, clock, signal } = session;
    const connected = await admin.ask('getSite', {});
    if (connected.siteCode === siteCode) return session;
    const { address } = await requireSite(admin, siteCode);
    if (address === '') {
      const message = `Nobody has said where site ${siteCode} is: waybill site set ${siteCode} --address HOST:PORT`;
      throw new CommandFailure('SITE_ADDRESS_UNKNOWN', message, { siteCode });
    }
    const channel = this.#connection.openSite({ siteCode, address });
    this.#channels.push(channel);
    return { ...session, admin: new Admin({ channel, clock, signal }), serverAddress: address };
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }
}
