import { requireManifests } from '../../shared/package-info/inline-manifest.ts';
import { bundleHashOf, decodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import { requireAction } from '../../shared/package-info/package-version.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { NotifyPullRequest__Output } from '../../shared/rpc/generated/waybill/v1/NotifyPullRequest.ts';
import type { PutPackageInfoRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutPackageInfoRequest.ts';
import type { QueryPullRequest__Output } from '../../shared/rpc/generated/waybill/v1/QueryPullRequest.ts';
import type { SuspendActionRequest__Output } from '../../shared/rpc/generated/waybill/v1/SuspendActionRequest.ts';
import { toStateReportWire } from '../state-reporter/state-message-wire.ts';
import type { PullDp } from './pull-dp.ts';
import { type PullDpSelf, requirePullNotification } from './pull-notification.ts';

type DistributionPointConversation = Conversation<'DistributionPoint'>;
type PullMethod = 'putPackageInfo' | 'notifyPull' | 'queryPull' | 'suspendAction';

/** What of the DistributionPoint conversation a pull DP answers: wire to pull DP and back. */
export function pullDpConversation(
  pullDp: Pick<PullDp, 'putPackageInfo' | 'notify' | 'query' | 'suspend'>,
  self: PullDpSelf,
): Pick<DistributionPointConversation, PullMethod> {
  return {
    async putPackageInfo(request: PutPackageInfoRequest__Output) {
      const action = requireAction(request.action);
      const version = decodeBundle(request.bundle, action.packageId);
      const manifests = requireManifests(request.manifests, version);
      const bundleHash = bundleHashOf(request.bundle);
      pullDp.putPackageInfo({ ...action, version, manifests, bundleHash });
      return {};
    },

    async notifyPull(request: NotifyPullRequest__Output) {
      await pullDp.notify(requirePullNotification(request, self));
      return {};
    },

    async queryPull(request: QueryPullRequest__Output) {
      return toStateReportWire(await pullDp.query(requireAction(request.action)));
    },

    async suspendAction(request: SuspendActionRequest__Output) {
      await pullDp.suspend(requireAction(request.action));
      return {};
    },
  };
}

/**
 * The same answers; an action that the site begins by a push, a removal, or a word that older ones
 * were cancelled, ends the pull job of its package.
 */
export function endingPullJobs<
  Answers extends Pick<DistributionPointConversation, 'begin' | 'removePackage' | 'cancelAction'>,
>(answers: Answers, pullDp: Pick<PullDp, 'actionAdmitted'>): Answers {
  return {
    ...answers,
    begin: async (...[request, context]: Parameters<Answers['begin']>) => {
      const answer = await answers.begin(request, context);
      await pullDp.actionAdmitted(requireAction(request.action));
      return answer;
    },
    cancelAction: async (...[request, context]: Parameters<Answers['cancelAction']>) => {
      const answer = await answers.cancelAction(request, context);
      await pullDp.actionAdmitted(requireAction(request.action));
      return answer;
    },
    removePackage: async (...[request, context]: Parameters<Answers['removePackage']>) => {
      const answer = await answers.removePackage(request, context);
      await pullDp.actionAdmitted(requireAction(request.action));
      return answer;
    },
  };
}
