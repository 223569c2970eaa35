/** What the OpenAPI document says besides the routes. `npm run openapi` writes the document to docs/openapi.json. */

import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';

export function openApiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tidemark',
        description:
          'Message sequence numbers for chat conversations. Errors are `application/problem+json` with a code of a closed set.',
        version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'calls', description: 'Numbers of conversations' },
        { name: 'operation', description: 'Health and metrics' },
      ],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'Where the server has a clients file' },
        },
      },
      // Without a clients file nobody needs a token.
      security: [{ token: [] }, {}],
    },
    transformObject: bodiesAsNeeded,
    refResolver: {
      buildLocalReference: (schema, _base, _at, index) =>
        typeof schema['$id'] === 'string' ? schema['$id'] : `schema-${index}`,
    },
  };
}

interface Body {
  required?: boolean;
  readonly content: Readonly<Record<string, { readonly schema?: object }>>;
}

/** A body is needed only where something in it is: `next` without one issues one number. */
const bodiesAsNeeded: NonNullable<FastifyDynamicSwaggerOptions['transformObject']> = (of) => {
  const document = 'openapiObject' in of ? of.openapiObject : of.swaggerObject;
  const paths = (document.paths ?? {}) as Record<string, { readonly post?: { readonly requestBody?: Body } }>;
  for (const { post } of Object.values(paths)) {
    if (post?.requestBody === undefined) continue;
    post.requestBody.required = 'required' in (post.requestBody.content['application/json']?.schema ?? {});
  }
  return document;
};
