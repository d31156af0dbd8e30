import type { Site__Output } from '../../shared/rpc/generated/waybill/v1/Site.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { toAgeText } from './units.ts';
import { toCount, toWord } from './wire-values.ts';

const showSite = command({
  path: 'site',
  summary: 'The site that answers: its code, kind and version',
  example: 'waybill site',
  options: (parser) => parser,
  run: async (_args, { admin, output, clock, timeZone, serverAddress }) => {
    const record = toSiteRecord(await admin.ask('getSite', {}));
    const started = toTimeText(record.startedAtMs, timeZone);
    output.facts(record, [
      ['site', record.siteCode],
      ['kind', record.kind.replaceAll('-', ' ')],
      ['address', serverAddress],
      ['version', record.agentVersion],
      ['started', `${started} (${toAgeText(record.startedAtMs, clock.nowMs())})`],
    ]);
  },
});

/** `waybill site`. */
export const siteCommands: readonly Command[] = [showSite];

function toSiteRecord(wire: Site__Output) {
  return {
    siteCode: wire.siteCode,
    kind: toWord('SITE_KIND_', wire.kind),
    agentVersion: wire.agentVersion,
    startedAtMs: toCount(wire.startedAtMs, 'started_at_ms'),
  };
}
