/**
 * Tells the DPs of this site what is set for what they fetch and serve (PULL-10): see
 * DistributionPointTeller. Writes the table "told controls".
 */
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { RequestOf } from '../../shared/rpc/conversation.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { toTransferControlsMessage } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { DistributionPointTeller, type TellerNeeds } from './distribution-point-teller.ts';
import { defaultTellingConfig, type ToldSubject } from './distribution-point-telling.ts';

const controlsSubject: ToldSubject = {
  name: 'controls',
  toldHashes: keySpaces.toldControls,
  hashOf: (point) => hashOf(toText(point)),
  isPressing: hasControls,
  say: (channel, point, options) => channel.unary('setControls', toRequest(point), options),
};

export class ControlsTeller extends DistributionPointTeller {
  constructor(needs: TellerNeeds, config = defaultTellingConfig) {
    super(controlsSubject, needs, config);
  }
}

function hasControls({ controls, serveControls }: DistributionPoint): boolean {
  return [controls, serveControls].some((one) => one?.schedule || one?.limit);
}

/** A standard DP is sent what it gets: its site obeys its controls. */
function toRequest(point: DistributionPoint): RequestOf<'DistributionPoint', 'setControls'> {
  const { kind, controls = {}, serveControls = {}, pull } = point;
  const isPull = kind === 'pull';
  return {
    fetching: toTransferControlsMessage(isPull ? controls : {}),
    serving: toTransferControlsMessage(serveControls),
    ...(isPull && pull && { settings: { packagesMax: pull.packagesMax } }),
  };
}

/** What is said, in an order of its own. */
function toText(point: DistributionPoint): Buffer {
  return Buffer.from(JSON.stringify(toRequest(point)));
}
