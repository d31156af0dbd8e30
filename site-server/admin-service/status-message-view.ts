import type { StatusMessage } from '../../shared/domain/status-message.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import {
  isWantedMessage,
  type StatusManager,
  type StatusMessageQuery,
} from '../status-manager/status-manager.ts';

/** What the view of status messages needs. */
export interface StatusMessageViewComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly status: Pick<StatusManager, 'query'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
}

/** Status messages as administrators see them: of this site, and of those whose messages come here. */
export class StatusMessageView {
  readonly #components: StatusMessageViewComponents;

  constructor(components: StatusMessageViewComponents) {
    this.#components = components;
  }

  /**
   * The newest messages that match, oldest of them first.
   *
   * @throws AbortError once nobody waits for them any more
   */
  async query(query: StatusMessageQuery, signal?: AbortSignal): Promise<StatusMessage[]> {
    const { status, sites } = this.#components;
    const found = await status.query(query, signal);
    const ownCount = found.length;
    for (const { siteCode } of sites.tree.list()) {
      const isMeant = (query.siteCode ?? siteCode) === siteCode;
      if (siteCode === sites.own.siteCode || !isMeant) continue;
      found.push(...(await this.#newestOf(siteCode, query, signal)));
    }
    // Those of this site alone stand as they were written, whatever its clock did meanwhile.
    if (found.length > ownCount) found.sort(byTime);
    return found.slice(-query.countMax);
  }

  async #newestOf(
    siteCode: string,
    query: StatusMessageQuery,
    signal: AbortSignal | undefined,
  ): Promise<StatusMessage[]> {
    const records = this.#components.store.records(keySpaces.siteStatusMessages);
    const messages: StatusMessage[] = [];
    for await (const [, message] of records.list({ prefix: `${siteCode}/`, reverse: true })) {
      throwIfAborted(signal);
      if (messages.length >= query.countMax) break;
      if (isWantedMessage(message, query)) messages.push(message);
    }
    return messages;
  }
}

function byTime(a: StatusMessage, b: StatusMessage): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  if (a.siteCode !== b.siteCode) return a.siteCode < b.siteCode ? -1 : 1;
  return a.serial - b.serial;
}
