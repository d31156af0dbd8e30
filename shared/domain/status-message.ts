export type Severity = 'information' | 'warning' | 'error';

/** The components that write status messages, by Configuration Manager's names. */
export type StatusComponent =
  | 'SMS_DISTRIBUTION_MANAGER'
  | 'SMS_PACKAGE_TRANSFER_MANAGER'
  | 'SMS_DESPOOLER'
  | 'SMS_HIERARCHY_MANAGER'
  | 'SMS_REPLICATION_MANAGER'
  | 'SMS_SCHEDULER'
  | 'SMS_SITE_COMPONENT_MANAGER';

/** Something that happened, worth an administrator's eye; stored as an ID with its strings. */
export interface StatusMessage {
  readonly serial: number;
  readonly messageId: StatusMessageId;
  readonly timeMs: number;
  readonly siteCode: string;
  readonly insertionStrings: readonly string[];
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly dpId: string;
}

interface StatusMessageKind {
  readonly severity: Severity;
  readonly component: StatusComponent;
  /** %1 … %9 stand for the insertion strings, %s for the code of the site that tells it. */
  readonly text: string;
}

const distribution = { component: 'SMS_DISTRIBUTION_MANAGER' } as const;
const despooler = { component: 'SMS_DESPOOLER' } as const;
const transfer = { component: 'SMS_PACKAGE_TRANSFER_MANAGER' } as const;

/**
 * The status messages of content distribution with their numbers.
 * @see docs/status-messages.md
 */
export const statusMessageKinds = {
  2300: { ...distribution, severity: 'information', text: 'Started to process package %1.' },
  2301: { ...distribution, severity: 'information', text: 'Processed package %1.' },
  2302: { ...distribution, severity: 'error', text: 'Could not process package %1: %2' },
  2306: { ...distribution, severity: 'error', text: 'Source of package %1 was refused: %2' },
  2311: {
    ...distribution,
    severity: 'information',
    text: 'Package %1 version %2 was created or updated at site %s.',
  },
  2328: {
    ...distribution,
    severity: 'error',
    text: 'Could not distribute package %1 to distribution point %2: %3',
  },
  2330: {
    ...distribution,
    severity: 'information',
    text: 'Package %1 version %3 is on distribution point %2, verified.',
  },
  2331: {
    ...distribution,
    severity: 'information',
    text: 'Package %1 was removed from distribution point %2.',
  },
  2333: {
    ...distribution,
    severity: 'information',
    text: 'Preparing to send package %1 version %2 to site %3.',
  },
  2339: {
    ...distribution,
    severity: 'information',
    text: 'Handed package %1 version %2 for site %3 to Scheduler, as mini-job %4.',
  },
  2342: {
    ...distribution,
    severity: 'information',
    text: 'Started to distribute package %1 to distribution point %2.',
  },
  2357: {
    ...distribution,
    severity: 'information',
    text: 'Handed package %1 for distribution point %2 to Package Transfer Manager.',
  },
  2376: {
    ...distribution,
    severity: 'information',
    text: 'Took a snapshot of package %1 version %2 from its source; files: %3, bytes: %4.',
  },
  2380: {
    ...distribution,
    severity: 'information',
    text: 'Validation of package %1 version %2 on distribution point %3 began.',
  },
  2381: {
    ...distribution,
    severity: 'information',
    text: 'Package %1 version %2 on distribution point %3 is to be validated.',
  },
  2382: {
    ...distribution,
    severity: 'error',
    text: 'Files of package %1 version %2 on %3 were damaged and are set aside: %4',
  },
  2383: {
    ...distribution,
    severity: 'error',
    text: 'Package %1 version %2 on %3 is not whole, or could not be validated: %4',
  },
  2384: {
    ...distribution,
    severity: 'information',
    text: 'Package %1 version %2 on %3 was validated, and is as it should be; files: %4.',
  },
  2385: {
    ...distribution,
    severity: 'error',
    text: 'Files of package %1 version %2 are missing on %3: %4',
  },
  2388: {
    ...distribution,
    severity: 'warning',
    text: 'The lists of %3 do not agree with package %1 version %2: %4',
  },
  2391: {
    ...distribution,
    severity: 'warning',
    text: 'Distribution point %1 did not pass its preliminary check: %2',
  },
  4400: {
    ...despooler,
    severity: 'information',
    text: 'Stored package %1 version %2 from site %3 in the content library of site %s.',
  },
  4401: {
    ...despooler,
    severity: 'information',
    text: 'Content of package %1 version %2 is here before what the hierarchy knows of it; it is stored when that comes.',
  },
  4404: {
    ...despooler,
    severity: 'warning',
    text: 'Refused package %1 version %2 from site %3: %4',
  },
  4405: {
    ...despooler,
    severity: 'error',
    text: 'What site %3 sent as package %1 version %2 could not be stored: %4',
  },
  4406: {
    ...despooler,
    severity: 'warning',
    text: 'Package %1 version %2 from site %3 waits for room on site %s: %4',
  },
  8200: {
    ...transfer,
    severity: 'information',
    text: 'Finished sending package %1 version %2 to distribution point %3.',
  },
  8203: {
    ...transfer,
    severity: 'error',
    text: 'Could not update package %1 version %2 on distribution point %3: %4',
  },
  8204: {
    ...transfer,
    severity: 'information',
    text: 'Sending package %1 version %2 to distribution point %3.',
  },
  8210: {
    ...transfer,
    severity: 'information',
    text: 'Transfer of package %1 version %2 to distribution point %3 is complete; told Distribution Manager.',
  },
  8211: {
    ...transfer,
    severity: 'warning',
    text: 'Pull distribution point %3 has as many jobs as it takes (%4); package %1 version %2 waits for one to end.',
  },
  8212: {
    ...transfer,
    severity: 'information',
    text: 'No source of pull distribution point %3 holds package %1 version %2 yet; it is notified when one does.',
  },
  9001: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'error',
    text: 'The state store was damaged (%1). %2',
  },
  9002: {
    ...transfer,
    severity: 'error',
    text: 'Content of package %1 version %2 was damaged on the disk of site %s and was taken out of its library: %3. %4',
  },
  9003: {
    ...transfer,
    severity: 'error',
    text: 'Source %4 gave wrong bytes of package %1 version %2 to distribution point %3, which kept nothing of them and does not ask it again: %5',
  },
  9004: {
    ...transfer,
    severity: 'warning',
    text: 'Distribution point %3 cannot go on with package %1 version %2 for now: %4',
  },
  9005: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'error',
    text: 'What site %1 sent of its changes was refused, and nothing of it was applied: %2',
  },
  9006: {
    component: 'SMS_HIERARCHY_MANAGER',
    severity: 'error',
    text: 'What another site says of distribution point %1 cannot be done at site %s, or has taken it from there: %2',
  },
  9007: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'warning',
    text: 'Site %1 knows later changes of site %s than that site itself: %2.',
  },
  9008: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'warning',
    text: 'Site %1 says more revocations than there is room for: %2 of them, those that were said first, are kept and not heard.',
  },
  9009: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'information',
    text: 'All revocations of site %1 that are kept are heard; that was not so for %2.',
  },
  9030: {
    ...transfer,
    severity: 'warning',
    text: 'Package %1 version %2 has made no progress on its way to distribution point %3 for %4: %5',
  },
  9031: {
    ...transfer,
    severity: 'warning',
    text: 'Distribution point %1 could not be reached for %2 (jobs that wait for it: %3): %4',
  },
  9032: {
    ...transfer,
    severity: 'information',
    text: 'Nothing waits for distribution point %1 any more because it cannot be reached; that was so for %2.',
  },
  9033: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'warning',
    text: 'Neighbour site %1 has not been connected for %2: %3',
  },
  9034: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'information',
    text: 'Neighbour site %1 is connected again, after %2.',
  },
  9036: {
    component: 'SMS_REPLICATION_MANAGER',
    severity: 'warning',
    text: 'Nothing that site %1 has signed since %3 has come here for %2, though it signs every day: it is off, or a site in between holds back what it says.',
  },
  9035: {
    component: 'SMS_SCHEDULER',
    severity: 'warning',
    text: 'Package %1 version %2 has made no progress on its way to site %3 for %4: %5',
  },
  9050: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'warning',
    text: 'The certificate of %1 %2 and was not renewed: %3',
  },
  9051: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'error',
    text: 'The certificate of %1 %2 and was not renewed: %3',
  },
  9052: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'information',
    text: 'The certificate of %1 was renewed.',
  },
  9060: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'warning',
    text: 'There is more to record of %1, at %2, than the audit trail has room for: some of its kind is only counted.',
  },
  9061: {
    component: 'SMS_SITE_COMPONENT_MANAGER',
    severity: 'warning',
    text: 'The audit trail has more than %1 records that are younger than %2 days: all of them stay, and it grows.',
  },
  9020: {
    component: 'SMS_SCHEDULER',
    severity: 'error',
    text: 'Could not send package %1 version %2 to site %3: %4',
  },
  9021: {
    component: 'SMS_SCHEDULER',
    severity: 'warning',
    text: 'Site %3 refused what it was sent as package %1 version %2: %4',
  },
  9040: {
    ...transfer,
    severity: 'information',
    text: 'Administrator moved job %4 in the queue: package %1 version %2 for distribution point %3.',
  },
  9041: {
    ...transfer,
    severity: 'information',
    text: 'Administrator suspended job %4: package %1 version %2 for distribution point %3.',
  },
  9042: {
    ...transfer,
    severity: 'information',
    text: 'Administrator resumed job %4: package %1 version %2 for distribution point %3.',
  },
  9043: {
    ...transfer,
    severity: 'information',
    text: 'Administrator lets job %4 run now: package %1 version %2 for distribution point %3.',
  },
  9044: {
    ...transfer,
    severity: 'information',
    text: 'Administrator cancelled job %4: package %1 version %2 for distribution point %3.',
  },
  9045: {
    ...transfer,
    severity: 'warning',
    text: 'Distribution point %3 has not heard yet that job %4 was cancelled (package %1 version %2); it is told when it answers.',
  },
  9046: {
    ...transfer,
    severity: 'information',
    text: 'Distribution point %3 has heard that job %4 was cancelled (package %1 version %2): nothing of it is done there any more.',
  },
  9047: {
    component: 'SMS_SCHEDULER',
    severity: 'information',
    text: 'Send request %4 was %5 by an administrator: package %1 version %2 for site %3.',
  },
  9048: {
    ...transfer,
    severity: 'error',
    text: 'Could not remove package %1 from distribution point %3: %4',
  },
} as const satisfies Record<number, StatusMessageKind>;

export type StatusMessageId = keyof typeof statusMessageKinds;

/** The number itself when it is one of the message ids. */
export function parseStatusMessageId(id: number): StatusMessageId | undefined {
  return Object.hasOwn(statusMessageKinds, id) ? (id as StatusMessageId) : undefined;
}

/** Severity, component and text of a message id. */
export function statusMessageKind(id: StatusMessageId): StatusMessageKind {
  return statusMessageKinds[id];
}

/** The message's sentence with its strings in place. */
export function toStatusText(message: StatusMessage): string {
  return statusMessageKinds[message.messageId].text.replace(/%(\d|s)/g, (_, name: string) =>
    name === 's' ? message.siteCode : (message.insertionStrings[Number(name) - 1] ?? ''),
  );
}
