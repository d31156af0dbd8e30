/** The wiring of when and how fast a DP fetches and serves. */
import { fetchingPassage, servingPassage } from '../shared/domain/transfer-passage.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { StateStore } from '../shared/state-store/state-store.ts';
import { PassageHours } from '../shared/transfer-arbiter/passage-hours.ts';
import { TransferArbiter } from '../shared/transfer-arbiter/transfer-arbiter.ts';
import type { DpConfig } from './dp-config.ts';
import { ToldControls } from './told-controls/told-controls.ts';

export interface ControlWiringNeeds {
  readonly store: StateStore;
  readonly clock: Clock;
  /** The logger of a component. */
  readonly child: (component: string) => Logger;
}

export interface ControlParts {
  readonly arbiter: TransferArbiter;
  readonly fetchingHours: PassageHours;
  readonly servingHours: PassageHours;
  readonly toldControls: ToldControls;
  /** Start in this order, before anything fetches or serves. */
  readonly components: readonly Component[];
}

/** Makes what every transfer of a DP asks, and what tells it the site's word. */
export function controlParts(needs: ControlWiringNeeds, { siteCode }: DpConfig): ControlParts {
  const { store, clock, child } = needs;
  const arbiter = new TransferArbiter(clock);
  const fetchingHours = new PassageHours({ arbiter, clock }, fetchingPassage);
  const servingHours = new PassageHours({ arbiter, clock }, servingPassage);
  const logger = child('told-controls');
  const toldControls = new ToldControls({ store, arbiter, siteCode, logger });
  const components = [toldControls, fetchingHours, servingHours];
  return { arbiter, fetchingHours, servingHours, toldControls, components };
}
