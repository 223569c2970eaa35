/** Answers of the HTTP door, compared with docs/openapi.json; a test compares that with what a server gives. */

import { readFileSync } from 'node:fs';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { expect } from 'vitest';
import type { Answer } from './http-server.js';

export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object>; readonly securitySchemes: object };
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
  }[];
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Record<string, { readonly description: string; readonly content?: object }>;
}

const openapi = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as OpenApi;

/** The path of a conversation. */
export const at = (key: string) => `/v1/conversations/${encodeURIComponent(key)}`;

/** An answer is as the document says, with no key that the document does not know. */
export function expectAs(name: string, json: unknown): void {
  const errors = Compile(strict({ $ref: `#/components/schemas/${name}` }) as TSchema).Errors(json);
  expect(errors, JSON.stringify(json)).toEqual([]);
}

/** The schema with its references resolved, and closed. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref } = schema as { $ref?: string };
  if ($ref !== undefined) return strict(openapi.components.schemas[$ref.split('/').at(-1)!]);
  const made = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  return made['type'] === 'object' ? { ...made, additionalProperties: false } : made;
}

export function expectProblem(answer: Answer, status: number, code: string, detail: RegExp = /./): void {
  expect(answer.json).toMatchObject({ type: 'about:blank', status, code });
  expect(answer.json['detail']).toMatch(detail);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expectAs('Problem', answer.json);
}
