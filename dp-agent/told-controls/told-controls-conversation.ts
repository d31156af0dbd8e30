import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { SetControlsRequest__Output } from '../../shared/rpc/generated/waybill/v1/SetControlsRequest.ts';
import type { TransferControls__Output } from '../../shared/rpc/generated/waybill/v1/TransferControls.ts';
import { toTransferControls } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import type { PullDp } from '../pull-dp/pull-dp.ts';
import { requirePackagesMax } from '../pull-dp/pull-notification.ts';
import type { ToldControls } from './told-controls.ts';

/** What of the DistributionPoint conversation is about controls: wire to components and back. */
export function toldControlsConversation(
  toldControls: Pick<ToldControls, 'take'>,
  pullDp: Pick<PullDp, 'setPackagesMax'>,
): Pick<Conversation<'DistributionPoint'>, 'setControls'> {
  return {
    async setControls({ fetching, serving, settings }: SetControlsRequest__Output) {
      const packagesMax = settings && requirePackagesMax(settings.packagesMax);
      await toldControls.take({
        fetching: controlsOf(fetching, 'fetching'),
        serving: controlsOf(serving, 'serving'),
      });
      if (packagesMax) await pullDp.setPackagesMax(packagesMax);
      return {};
    },
  };
}

/** What is absent is not set. @throws REQUEST_INVALID */
function controlsOf(controls: TransferControls__Output | null, field: string) {
  return controls ? toTransferControls(controls, field) : {};
}
