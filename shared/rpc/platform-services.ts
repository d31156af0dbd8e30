import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath as healthProtoPath } from 'grpc-health-check';
import { packageDefinition } from './service-definitions.ts';

/** gRPC's own services, for tools such as grpcurl and grpc-health-probe (ADM-7). */
export class PlatformServices {
  readonly #health = new HealthImplementation();
  readonly #services: readonly string[];

  /** @param services full names of what the server serves */
  constructor(services: readonly string[]) {
    this.#services = services;
  }

  /** Adds reflection, which tells of what is served, and health, which says SERVING. */
  addTo(server: Server): void {
    const described = { ...packageDefinition(), ...loadSync(healthProtoPath) };
    const services = [...this.#services, 'grpc.health.v1.Health'];
    new ReflectionService(described, { services }).addToServer(server);
    this.#health.addToServer(server);
    this.#setHealth('SERVING');
  }

  /** Tells of a part of the agent that has no methods of its own, by a name such as `waybill.certificate`. */
  tellPart(name: string, isWell: boolean): void {
    this.#health.setStatus(name, isWell ? 'SERVING' : 'NOT_SERVING');
  }

  /** Tells whoever watches that the server stops. */
  stopServing(): void {
    this.#setHealth('NOT_SERVING');
  }

  #setHealth(state: 'SERVING' | 'NOT_SERVING'): void {
    for (const name of ['', ...this.#services]) this.#health.setStatus(name, state);
  }
}
