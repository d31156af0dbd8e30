import { WaybillError } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { freeControls } from '../../shared/domain/transfer-controls.ts';
import {
  patchedControls,
  type TransferControlsPatch,
} from '../../shared/domain/transfer-controls-patch.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';
import type { SiteDirectory } from './site-directory.ts';

/** What the links need. */
export interface TransferLinksComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'settled'>;
  readonly hierarchy: Pick<HierarchyManager, 'requireAnywhere'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
}

/** How the links are tuned. */
export interface TransferLinksConfig {
  /** Links of one hierarchy. @default 1_000 */
  readonly linkCountMax: number;
}

export const defaultTransferLinksConfig: TransferLinksConfig = { linkCountMax: 1_000 };

/** What an administrator says of a link, new or there; what is absent stays. */
export interface TransferLinkPatch {
  readonly linkName: string;
  /** Of a new link, when absent: the site of its first DP, or the one that is asked. */
  readonly siteCode?: string;
  readonly description?: string;
  /** Replaces all of them. */
  readonly dpIds?: readonly string[];
  /** Replaces all of them. */
  readonly toSiteCodes?: readonly string[];
  readonly controls?: TransferControlsPatch;
}

/**
 * The lines that several ways share (PTM-6, ADM-3): the replicated table "links", as administrators
 * write it at any site. Who sends over a link obeys it by `TransferControlRows`. One command after
 * another, each one synced batch.
 */
export class TransferLinks {
  readonly #components: TransferLinksComponents;
  readonly #config: TransferLinksConfig;
  readonly #queue = new SerialQueue();

  constructor(components: TransferLinksComponents, config = defaultTransferLinksConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Makes a link, or changes it.
   *
   * @throws REQUEST_INVALID, SITE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN
   */
  set(patch: TransferLinkPatch): Promise<TransferLink> {
    return this.#queue.run(async () => {
      // The tree follows what is written a moment later.
      await this.#components.store.settled();
      const before = await this.#rows.get(patch.linkName);
      if (!before) await this.#requireRoom();
      const link = await this.#patched(before, patch);
      requireMembers(link);
      await this.#requireDistributionPoints(link);
      this.#requireSites(link);
      await this.#requireNoOther(link);
      await this.#components.store.write([this.#rows.put(link.linkName, link)], { sync: true });
      return link;
    });
  }

  /** What was in it has only its own limits again. @throws LINK_UNKNOWN */
  delete(linkName: string): Promise<TransferLink> {
    return this.#queue.run(async () => {
      const link = await this.#rows.get(linkName);
      if (!link) throw new WaybillError({ code: 'LINK_UNKNOWN', linkName });
      await this.#components.store.write([this.#rows.delete(linkName)], { sync: true });
      return link;
    });
  }

  /** All links, by name. */
  async *list(): AsyncGenerator<TransferLink> {
    for await (const [, link] of this.#rows.list()) yield link;
  }

  async #patched(
    before: TransferLink | undefined,
    patch: TransferLinkPatch,
  ): Promise<TransferLink> {
    const dpIds = [...new Set(patch.dpIds ?? before?.dpIds ?? [])];
    const toSiteCodes = [...new Set(patch.toSiteCodes ?? before?.toSiteCodes ?? [])];
    const siteCode = patch.siteCode ?? before?.siteCode ?? (await this.#siteOf(dpIds));
    return {
      // What a newer program has said of it stays.
      ...before,
      ...{ linkName: patch.linkName, siteCode, dpIds, toSiteCodes },
      description: patch.description ?? before?.description ?? '',
      controls: patchedControls(before?.controls, patch.controls) ?? freeControls,
    };
  }

  async #siteOf([dpId]: readonly string[]): Promise<string> {
    const { hierarchy, sites } = this.#components;
    return dpId === undefined
      ? sites.own.siteCode
      : (await hierarchy.requireAnywhere(dpId)).siteCode;
  }

  async #requireRoom(): Promise<void> {
    const { linkCountMax } = this.#config;
    let count = 0;
    for await (const _ of this.list()) count += 1;
    if (count < linkCountMax) return;
    const expected = `at most ${linkCountMax} links`;
    throw requestInvalid('link_name', { expected, actual: `${count + 1}` });
  }

  async #requireDistributionPoints({ siteCode, dpIds }: TransferLink): Promise<void> {
    for (const dpId of dpIds) {
      const point = await this.#components.hierarchy.requireAnywhere(dpId);
      if (point.siteCode !== siteCode) {
        const expected = `distribution points of site ${siteCode}, from which all of the link leaves`;
        throw requestInvalid('dp_ids', { expected, actual: `${dpId} of site ${point.siteCode}` });
      }
      if (point.kind === 'standard') continue;
      const actual = `${dpId}, a pull distribution point`;
      const remedy = `That one keeps its own limit: "waybill dp set ${dpId} --limit"`;
      throw requestInvalid('dp_ids', { expected: 'standard distribution points', actual, remedy });
    }
  }

  #requireSites({ siteCode, toSiteCodes }: TransferLink): void {
    const { tree } = this.#components.sites;
    for (const code of [siteCode, ...toSiteCodes]) {
      if (!tree.get(code)) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode: code });
    }
    if (!toSiteCodes.includes(siteCode)) return;
    const expected = `other sites than ${siteCode}, which sends`;
    throw requestInvalid('to_site_codes', { expected, actual: siteCode });
  }

  /** Only so is it clear what holds on a way. */
  async #requireNoOther(link: TransferLink): Promise<void> {
    for await (const other of this.list()) {
      if (other.linkName === link.linkName) continue;
      const dpId = link.dpIds.find((one) => other.dpIds.includes(one));
      if (dpId !== undefined) throw inOtherLink('dp_ids', dpId, other);
      if (other.siteCode !== link.siteCode) continue;
      const site = link.toSiteCodes.find((one) => other.toSiteCodes.includes(one));
      if (site === undefined) continue;
      throw inOtherLink('to_site_codes', `the way from ${link.siteCode} to ${site}`, other);
    }
  }

  get #rows() {
    return this.#components.store.records(keySpaces.links);
  }
}

/** @throws REQUEST_INVALID when there is nothing in the link, or too much */
function requireMembers({ dpIds, toSiteCodes }: TransferLink): void {
  const { linkMemberCountMax } = requestLimits;
  for (const [field, members] of [
    ['dp_ids', dpIds],
    ['to_site_codes', toSiteCodes],
  ] as const) {
    if (members.length <= linkMemberCountMax) continue;
    throw requestInvalid(field, {
      expected: `at most ${linkMemberCountMax}`,
      actual: `${members.length}`,
    });
  }
  if (dpIds.length + toSiteCodes.length > 0) return;
  const expected = 'at least one distribution point, or one site to send to';
  throw requestInvalid('link', { expected, actual: 'a link with nothing in it' });
}

function inOtherLink(field: string, what: string, { linkName }: TransferLink): WaybillError {
  const actual = `${what}, which is in link ${linkName}`;
  const remedy = `"waybill link set ${linkName}" can take it out there`;
  return requestInvalid(field, { expected: 'what is in no other link', actual, remedy });
}
