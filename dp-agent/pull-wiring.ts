/** The wiring of what makes a DP a pull DP: the pull DP itself and the reporter of its messages. */

import { cutQuestionsMax, Intake } from '../shared/content-download/intake.ts';
import { PackageDownload } from '../shared/content-download/package-download.ts';
import { SourceSet } from '../shared/content-download/source-set.ts';
import type { ContentLibrary } from '../shared/content-library/content-library.ts';
import type { ArrivingContents } from '../shared/content-server/arriving-contents.ts';
import { toIdentityUri } from '../shared/domain/peer-identity.ts';
import { type PullSource, sourceInWords } from '../shared/domain/pull-source.ts';
import type { PackageReceiver } from '../shared/package-receiver/package-receiver.ts';
import type { Conversation } from '../shared/rpc/conversation.ts';
import type { PeerCredentials } from '../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../shared/rpc/peer-trust.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import { TurnsPerKey } from '../shared/runtime/turns-per-key.ts';
import type { StateStore, StateStoreDamage } from '../shared/state-store/state-store.ts';
import type { PassageHours } from '../shared/transfer-arbiter/passage-hours.ts';
import type { TransferArbiter } from '../shared/transfer-arbiter/transfer-arbiter.ts';
import type { DpConfig } from './dp-config.ts';
import type { PackageFetcher } from './pull-dp/package-fetcher.ts';
import { PullDp } from './pull-dp/pull-dp.ts';
import { endingPullJobs, pullDpConversation } from './pull-dp/pull-dp-conversation.ts';
import { PullDpSettings } from './pull-dp/pull-dp-settings.ts';
import { PullJobStore } from './pull-dp/pull-job-store.ts';
import { StateMessageOutbox } from './state-reporter/state-message-outbox.ts';
import { type ManagementPointChannel, StateReporter } from './state-reporter/state-reporter.ts';

export interface PullWiringNeeds {
  readonly store: StateStore;
  readonly library: ContentLibrary;
  readonly receiver: PackageReceiver;
  /** What is being fetched, for those who fetch it here. */
  readonly arriving: ArrivingContents;
  readonly credentials: PeerCredentials;
  /** Whose certificates count. */
  readonly trust: PeerTrust;
  readonly clock: Clock;
  /** What this DP may fetch and serve, and when; the hours of what it fetches. */
  readonly arbiter: TransferArbiter;
  readonly fetchingHours: PassageHours;
  /** The logger of a component. */
  readonly child: (component: string) => Logger;
  /** What was found damaged of the state store; not all of it is back. */
  readonly damage: StateStoreDamage | undefined;
}

/** The pull methods of the DistributionPoint conversation, and those that end a pull job. */
type PulledAnswers<Answers> = Answers & ReturnType<typeof pullDpConversation>;

export interface PullParts {
  readonly pullDp: PullDp;
  /** Starts before the damage of a store is acknowledged. */
  readonly outbox: StateMessageOutbox;
  /** Start in this order, after the package receiver and before the server. */
  readonly components: readonly Component[];
  /** Adds what the pull DP answers, and ends pull jobs with what the site pushes or removes. */
  answering<
    Answers extends Pick<
      Conversation<'DistributionPoint'>,
      'begin' | 'removePackage' | 'cancelAction'
    >,
  >(answers: Answers): PulledAnswers<Answers>;
}

/** Makes the parts of a pull DP. */
export function pullParts(needs: PullWiringNeeds, config: DpConfig): PullParts {
  const { store, clock, child } = needs;
  const isStoreDamaged = needs.damage !== undefined;
  const { dpId } = config;
  const logger = child('pull-dp');
  const outbox = new StateMessageOutbox({ store, clock, logger }, { dpId, isStoreDamaged });
  const settings = new PullDpSettings(store, config.managementPointAddress);
  const jobs = new PullJobStore(store, outbox);
  const random = Math.random;
  const pullDp = new PullDp({
    ...{ ...needs, jobs, outbox, settings, random, logger },
    hours: needs.fetchingHours,
    fetcher: packageFetcher(needs, config),
  });
  const reporter = new StateReporter({
    outbox,
    address: settings.managementPointAddress,
    openChannel: (address) => managementPointChannel(address, needs, config),
    ...{ clock, random, logger: child('state-reporter') },
  });
  return {
    pullDp,
    outbox,
    components: [pullDp, reporter],
    answering: (answers) => ({
      ...endingPullJobs(answers, pullDp),
      ...pullDpConversation(pullDp, config),
    }),
  };
}

/** Fetches packages from their sources, each known by its certificate. */
function packageFetcher(
  { library, receiver, arriving, clock, arbiter, child, ...own }: PullWiringNeeds,
  { dpId }: DpConfig,
): PackageFetcher {
  const download = new PackageDownload({
    ...{ receiver, library, arriving, clock },
    random: Math.random,
    logger: child('pull-dp'),
    connect: (source) => sourceChannel(source, own),
    self: toIdentityUri({ kind: 'dp', dpId }),
  });
  const questions = new TurnsPerKey(cutQuestionsMax);
  return {
    open: (first, urgency) => {
      const sources = new SourceSet(first);
      const intake = new Intake({ arbiter, clock, questions }, urgency.priority);
      intake.ignoresSchedules = urgency.ignoresWindow === true;
      return {
        setSources: (next) => sources.set(next),
        setUrgency: ({ priority, ignoresWindow = false }) => {
          intake.priority = priority;
          intake.ignoresSchedules = ignoresWindow;
        },
        run: (job) => download.run({ ...job, sources, intake }),
      };
    },
  };
}

/** A channel to a source, and to nobody else who stands at its address. */
function sourceChannel(
  { identity, address }: PullSource,
  { credentials, trust }: Pick<PullWiringNeeds, 'credentials' | 'trust'>,
) {
  const name = toIdentityUri(identity);
  return new RpcChannel({
    conversation: 'Content',
    address,
    expected: (peer) => toIdentityUri(peer) === name,
    expectedText: sourceInWords(identity),
    ...{ credentials, trust },
  });
}

/** A channel to the site of this DP, and to nobody else. */
function managementPointChannel(
  address: string,
  { credentials, trust }: Pick<PullWiringNeeds, 'credentials' | 'trust'>,
  { siteCode }: DpConfig,
): ManagementPointChannel {
  return new RpcChannel({
    conversation: 'ManagementPoint',
    address,
    expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
    expectedText: `management point of site ${siteCode}`,
    ...{ credentials, trust },
  });
}
