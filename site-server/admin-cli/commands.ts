import { administratorCommands } from './administrator-commands.ts';
import { auditCommands } from './audit-commands.ts';
import { certificateCommands } from './certificate-commands.ts';
import type { Command } from './command.ts';
import { distributionPointCommands } from './distribution-point-commands.ts';
import { distributionPointLibraryCommands } from './distribution-point-library-commands.ts';
import { distributionPointListCommands } from './distribution-point-list-commands.ts';
import { enrollCommands } from './enroll-commands.ts';
import { clientCommands, enrollmentCommands } from './enrollment-commands.ts';
import { getCommands } from './get-commands.ts';
import { groupCommands } from './group-commands.ts';
import { jobCommands } from './job-commands.ts';
import { jobSteeringCommands } from './job-steering-commands.ts';
import { linkCommands } from './link-commands.ts';
import { logCommands } from './log-commands.ts';
import { messageCommands } from './message-commands.ts';
import { packageCommands } from './package-commands.ts';
import { packageListCommands } from './package-list-commands.ts';
import { packageTargetCommands } from './package-target-commands.ts';
import { prestagedCommands } from './prestaged-commands.ts';
import { revocationCommands } from './revocation-commands.ts';
import { routeCommands } from './route-commands.ts';
import { sendCommands } from './send-commands.ts';
import { sendSteeringCommands } from './send-steering-commands.ts';
import { settingCommands } from './setting-commands.ts';
import { siteCommands } from './site-commands.ts';
import { statusCommands } from './status-commands.ts';
import { validationCommands } from './validation-commands.ts';

/** Commands that share their first word. */
export interface CommandGroup {
  readonly word: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** Commands of two words. */
export const commandGroups: readonly CommandGroup[] = [
  {
    word: 'package',
    summary: 'Define packages, put them on distribution points, take them off',
    commands: [
      ...packageCommands,
      ...packageListCommands,
      ...packageTargetCommands,
      ...prestagedCommands,
      ...validationCommands,
    ],
  },
  {
    word: 'dp',
    summary: 'Add, change, check and remove distribution points',
    commands: [
      ...distributionPointCommands,
      ...distributionPointListCommands,
      ...distributionPointLibraryCommands,
    ],
  },
  {
    word: 'group',
    summary: 'Speak of several distribution points together',
    commands: groupCommands,
  },
  {
    word: 'jobs',
    summary: 'See and steer jobs: what is on its way to which DP',
    commands: [...jobCommands, ...jobSteeringCommands],
  },
  {
    word: 'site',
    summary: 'See, add, change and remove sites of the hierarchy',
    commands: siteCommands,
  },
  {
    word: 'admin',
    summary: 'Add, see and remove administrators',
    commands: administratorCommands,
  },
  { word: 'client', summary: 'Enroll clients, who only fetch', commands: clientCommands },
  {
    word: 'enrollment',
    summary: 'See and revoke the tokens that machines and people enroll with',
    commands: enrollmentCommands,
  },
  {
    word: 'settings',
    summary: 'See and set the limits and delays of a site',
    commands: settingCommands,
  },
  {
    word: 'route',
    summary: 'Say where, when and how fast one site sends to another',
    commands: routeCommands,
  },
  {
    word: 'audit',
    summary: 'See who called what, and whether that was tampered with',
    commands: auditCommands,
  },
  {
    word: 'certs',
    summary: 'See which certificates there are and when they end; end those of a holder',
    commands: [...certificateCommands, ...revocationCommands],
  },
  { word: 'link', summary: 'Limit lines that several ways share', commands: linkCommands },
  {
    word: 'send',
    summary: 'See and steer what is sent to other sites',
    commands: [...sendCommands, ...sendSteeringCommands],
  },
];

/** Commands of one word. */
export const singleCommands: readonly Command[] = [
  ...enrollCommands,
  ...getCommands,
  ...statusCommands,
  ...messageCommands,
  ...logCommands,
];

/** Every command, but the shell's completion. */
export const allCommands: readonly Command[] = [
  ...commandGroups.flatMap((group) => group.commands),
  ...singleCommands,
];
