import { WaybillError } from '../../shared/domain/errors.ts';
import type { PreviewPart__Output } from '../../shared/rpc/generated/waybill/v1/PreviewPart.ts';
import type { AdminRequest } from './admin-channel.ts';
import { CommandFailure } from './command-failure.ts';
import {
  type PreviewedTransferRecord,
  type PreviewedVersionRecord,
  type PreviewRecord,
  toPreviewedTransferRecord,
  toPreviewedVersionRecord,
  toPreviewTotal,
} from './preview-record.ts';
import { tellPreview } from './preview-text.ts';
import type { Session } from './session.ts';

/** What would be distributed. */
export interface DistributionToPreview {
  readonly packageId: string;
  readonly dpIds: readonly string[];
  readonly siteCodes: readonly string[];
  readonly groupNames: readonly string[];
  readonly all: boolean;
}

/** Says what distributing would bring; does nothing. */
export async function previewDistribution(
  session: Session,
  { packageId, dpIds, siteCodes, groupNames, all }: DistributionToPreview,
): Promise<void> {
  const sites = all ? await sitesOfAll(session) : siteCodes;
  const names = { siteCodes: [...sites], groupNames: [...groupNames] };
  const targets = { packageId, dpIds: [...dpIds], ...names };
  const sourceSiteCode = (await session.admin.ask('getPackage', { packageId })).sourceSiteCode;
  const source = await reached(session, sourceSiteCode);
  // Only the source site knows what package files would be made.
  const asked = source.session ?? session;
  const parts = await asked.admin.listUnhurried('previewDistribution', { targets });
  const preview = await withOtherSites(session, asked, { packageId, parts });
  if (source.reason !== '') preview.notes.push(`Site ${sourceSiteCode} ${source.reason}`);
  tellPreview(session.output, toRecord(preview), preview.notes);
}

/** Says what an update would bring; the source is read by its own site, and nothing is published. */
export async function previewUpdate(session: Session, packageId: string): Promise<void> {
  const { sourceSiteCode } = await session.admin.ask('getPackage', { packageId });
  const asked = await session.atSite(sourceSiteCode);
  if (session.output.isLive) session.output.note(`Site ${sourceSiteCode} reads the source`);
  const parts = await asked.admin.listUnhurried('previewUpdate', { packageId });
  const preview = await withOtherSites(session, asked, { packageId, parts });
  tellPreview(session.output, toRecord(preview), preview.notes);
}

interface Preview {
  readonly version: PreviewedVersionRecord;
  readonly transfers: readonly PreviewedTransferRecord[];
  readonly notes: string[];
}

function toRecord({ version, transfers }: Preview): PreviewRecord {
  return { version, transfers, total: toPreviewTotal(transfers) };
}

/** As the site that is asked understands "all": its DPs, or those of the hierarchy when it has none. */
async function sitesOfAll({ admin }: Session): Promise<string[]> {
  const { siteCode } = await admin.ask('getSite', {});
  const points = await admin.list('listDistributionPoints', {});
  const sites = new Set(points.map((point) => point.siteCode));
  return sites.has(siteCode) ? [siteCode] : [...sites];
}

/** What a DP of another site lacks, and how fast it is reached, that site knows best. */
async function withOtherSites(
  session: Session,
  asked: Session,
  { packageId, parts }: { packageId: string; parts: readonly PreviewPart__Output[] },
): Promise<Preview> {
  const { version, transfers } = requireParts(parts);
  const notes: string[] = [];
  const { siteCode: own } = await asked.admin.ask('getSite', {});
  const isElsewhere = (one: PreviewedTransferRecord) =>
    one.way === 'distribution-point' && one.siteCode !== own && one.basis !== 'nothing-to-do';
  const bySite = groupedBySite(transfers.filter(isElsewhere));
  const all = [...transfers];
  for (const [siteCode, ofSite] of bySite) {
    const { transfers: better, reason } = await askedAt(session, siteCode, {
      ...{ packageId, version, ofSite },
    });
    if (reason !== '') notes.push(`Site ${siteCode} ${reason}; its DPs are estimated from afar`);
    const known = new Set(better.map(({ dpId }) => dpId).filter((dpId) => dpId !== ''));
    for (const one of ofSite) if (known.has(one.dpId)) all.splice(all.indexOf(one), 1);
    all.push(...better);
  }
  return { version, transfers: sorted(all), notes };
}

interface SiteQuestion {
  readonly packageId: string;
  readonly version: PreviewedVersionRecord;
  readonly ofSite: readonly PreviewedTransferRecord[];
}

async function askedAt(
  session: Session,
  siteCode: string,
  { packageId, version, ofSite }: SiteQuestion,
): Promise<{ transfers: PreviewedTransferRecord[]; reason: string }> {
  const { session: there, reason } = await reached(session, siteCode);
  if (!there) return { transfers: [], reason };
  const request: AdminRequest<'previewDistribution'> = {
    targets: { packageId, dpIds: ofSite.map(({ dpId }) => dpId) },
    sourceVersion: version.sourceVersion,
    reckoned: ofSite.map((one) => ({
      ...{ dpId: one.dpId, bytes: one.bytes, manifestBytes: one.manifestBytes },
      fileCount: one.fileCount,
      basis: wireBasisOf(one),
    })),
  };
  try {
    const { transfers } = requireParts(
      await there.admin.listUnhurried('previewDistribution', request),
    );
    return { transfers, reason: '' };
  } catch (error) {
    return { transfers: [], reason: reasonOf(error) };
  }
}

/** A site that can be asked; or why it cannot. */
async function reached(
  session: Session,
  siteCode: string,
): Promise<{ session: Session | undefined; reason: string }> {
  try {
    const there = await session.atSite(siteCode);
    await there.admin.ask('getSite', {});
    return { session: there, reason: '' };
  } catch (error) {
    return { session: undefined, reason: reasonOf(error) };
  }
}

/** @throws what is no answer of a site */
function reasonOf(error: unknown): string {
  if (error instanceof WaybillError || error instanceof CommandFailure) {
    return `could not be asked: ${error.message}`;
  }
  throw error;
}

function requireParts(parts: readonly PreviewPart__Output[]) {
  const transfers: PreviewedTransferRecord[] = [];
  let version: PreviewedVersionRecord | undefined;
  for (const part of parts) {
    if (part.version) version = toPreviewedVersionRecord(part.version);
    if (part.transfer) transfers.push(toPreviewedTransferRecord(part.transfer));
  }
  if (version) return { version, transfers };
  throw new WaybillError({
    ...{ code: 'MESSAGE_INVALID', field: 'version', expected: 'the version first', actual: 'none' },
  });
}

function groupedBySite(
  transfers: readonly PreviewedTransferRecord[],
): Map<string, PreviewedTransferRecord[]> {
  const groups = new Map<string, PreviewedTransferRecord[]>();
  for (const one of transfers) {
    groups.set(one.siteCode, [...(groups.get(one.siteCode) ?? []), one]);
  }
  return groups;
}

const wireBases = {
  asked: 'PREVIEW_BASIS_ASKED',
  'installed-packages': 'PREVIEW_BASIS_INSTALLED_PACKAGES',
} as const;

function wireBasisOf({ basis }: PreviewedTransferRecord) {
  const known: Readonly<Record<string, (typeof wireBases)[keyof typeof wireBases]>> = wireBases;
  return known[basis] ?? 'PREVIEW_BASIS_WHOLE_PACKAGE';
}

const wayOrder = ['route', 'distribution-point', 'link', 'site'];

/** From site to site first, as it travels; then DPs by site and name. */
function sorted(transfers: readonly PreviewedTransferRecord[]): PreviewedTransferRecord[] {
  const keyOf = ({ way, siteCode, dpId, linkName }: PreviewedTransferRecord) =>
    [way === 'route' ? '' : siteCode, wayOrder.indexOf(way), dpId, linkName].join('/');
  const keyed = transfers.map((one, index) => ({ one, index, key: keyOf(one) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index));
  return keyed.map(({ one }) => one);
}
