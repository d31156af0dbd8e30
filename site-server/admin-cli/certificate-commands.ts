import type { Tone } from '../../shared/runtime/text-style.ts';
import { toDayText, toTimeText } from '../../shared/runtime/time-text.ts';
import { type CertificateRecord, toCertificateRecord } from './certificate-record.ts';
import { type Command, command } from './command.ts';
import { flag, siteToAskOption } from './options.ts';
import type { Column } from './table.ts';
import { toAgeText, toWaitText } from './units.ts';

const dayMs = 24 * 3_600_000;

const listCertificates = command({
  path: 'certs list',
  isDefault: true,
  summary: 'When certificates end, who issued them, on which root they stand, and what is due',
  example: 'waybill certs',
  options: (parser) =>
    parser
      .option('due', flag('Only those for which something is due'))
      .option('site', siteToAskOption),
  run: async ({ due, site }, session) => {
    const { admin, output, clock, timeZone } = await session.atSite(site);
    const all = (await admin.list('listCertificates', {})).map(toCertificateRecord);
    const rows = due ? all.filter((one) => !['nothing', 'revoked'].includes(one.due)) : all;
    const nobody = due ? 'Nothing is due.' : 'No certificates are known.';
    output.list(rows, toColumns(clock.nowMs(), timeZone), nobody);
    for (const row of rows) {
      if (row.reason !== '') output.sentence(`${toName(row)}: ${row.reason}.`);
      if (row.revoked) output.sentence(`${toName(row)}: ${toRevokedText(row, timeZone)}.`);
    }
  },
});

/** `waybill certs`. */
export const certificateCommands: readonly Command[] = [listCertificates];

function toColumns(nowMs: number, timeZone: string | undefined): Column<CertificateRecord>[] {
  return [
    { title: 'certificate of', text: toName },
    { title: 'ends', text: (row) => toDayText(row.notAfterMs, timeZone) },
    { title: 'when', text: (row) => toLeftText(row.notAfterMs, nowMs), align: 'right' },
    { title: 'issued by', text: toIssuerText },
    { title: 'root', text: toRootText },
    { title: 'due', text: toDueText, tone: toneOfDue },
  ];
}

/** `dp/PS1DP1`, `authority/PS1`, `root 0123…`. */
function toName({ kind, holder }: CertificateRecord): string {
  if (kind === 'root') return `root ${holder.slice(0, 8)}`;
  return kind === 'site-authority' ? holder.replace(/^site/, 'authority') : holder;
}

/** Of what is more than a week away, hours say nothing. */
function toLeftText(notAfterMs: number, nowMs: number): string {
  const leftMs = notAfterMs - nowMs;
  const shownMs = Math.abs(leftMs) > 7 * dayMs ? leftMs - (leftMs % dayMs) : leftMs;
  return leftMs >= 0 ? `in ${toWaitText(shownMs)}` : toAgeText(nowMs + shownMs, nowMs);
}

function toIssuerText({ kind, issuerSiteCode }: CertificateRecord): string {
  if (kind === 'root') return '';
  return issuerSiteCode === '' ? 'root' : issuerSiteCode;
}

function toRootText({ rootKeyId, isOnNewestRoot }: CertificateRecord): string {
  if (rootKeyId === '') return 'unknown';
  return isOnNewestRoot ? 'newest' : 'older';
}

/** Whoever's own certificate is sound may have lost the site that vouches for him. */
function toRevokedText(
  { holder, revoked }: CertificateRecord,
  timeZone: string | undefined,
): string {
  if (!revoked) return '';
  const atText = `revoked at ${revoked.siteCode} on ${toTimeText(revoked.atMs, timeZone)}`;
  return revoked.holder === holder ? atText : `${atText}, with ${revoked.holder}`;
}

const dueTexts: Record<string, string> = {
  nothing: '',
  renewal: 'renewal',
  soon: 'renewal: late',
  urgent: 'renewal: urgent',
  expired: 'expired',
  'not-yet-valid': 'not valid yet',
  'old-root': 'the new root',
  revoked: 'revoked',
};

function toDueText({ kind, due }: CertificateRecord): string {
  // A root is not renewed: another one follows it.
  if (kind === 'root' && (due === 'soon' || due === 'urgent')) return 'another root';
  return dueTexts[due] ?? due;
}

function toneOfDue({ due }: CertificateRecord): Tone | undefined {
  if (due === 'nothing') return undefined;
  return due === 'renewal' || due === 'old-root' ? 'busy' : 'bad';
}
