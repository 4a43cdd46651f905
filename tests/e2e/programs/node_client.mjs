// node's HTTP clients: node_client.mjs LIBRARY NAME URL COUNT, the CA in NODE_EXTRA_CA_CERTS.
// "https" and "http" use the module of that name, keep-alive and not; "fetch" the global function.
import http from 'node:http';
import https from 'node:https';
import {randomBytes, randomUUID} from 'node:crypto';

const [library, name, base, count] = process.argv.slice(2);
const methods = ['GET', 'POST', 'PUT', 'HEAD', 'PATCH', 'DELETE'];
const body = 'PUT /forged HTTP/1.1\r\nAuthorization: Bearer forged-by-an-upload\r\n\r\n'.repeat(3);

function plan(number) {
  const secret = randomBytes(24).toString('base64url');
  const paths = ['/v1/items/12345', `/v1/items/${randomUUID()}/detail`, '/forbidden',
                 '/bodies/small', '/empty', '/throttled', '/chunked/small'];
  let target = paths[number % paths.length];
  const headers = {'X-Request-Id': `${name}.${process.pid}.${number}`};
  switch (number % 4) {
    case 0: headers.Authorization = `Bearer ${secret}`; break;
    case 1: headers['X-Api-Key'] = secret; break;
    case 2: target += `?page=2&key=${encodeURIComponent(secret + '+/=')}`; break;
    case 3: headers.Authorization = `Basic ${Buffer.from(`service:${secret}`).toString('base64')}`;
  }
  const method = methods[number % methods.length];
  return {method, url: base + target, headers,
          body: ['POST', 'PUT', 'PATCH'].includes(method) ? body : undefined};
}

function withModule(module, agent, {method, url, headers, body}) {
  return new Promise((resolve, reject) => {
    const request = module.request(url, {method, headers, agent}, (response) => {
      response.on('data', () => {}).on('end', resolve).on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

const module = base.startsWith('https:') ? https : http;
const agents = [new module.Agent({keepAlive: true, maxSockets: 4}), new module.Agent()];
const all = [];
for (let number = 0; number < Number(count); ++number) {
  const request = plan(number);
  if (library === 'fetch') {
    const {url, ...options} = request;
    all.push(fetch(url, options).then((response) => response.arrayBuffer()));
  } else {
    all.push(withModule(module, agents[number % 2], request));
  }
  if (all.length % 8 === 0) await Promise.all(all);
}
await Promise.all(all);
agents.forEach((agent) => agent.destroy());
process.exit(0);
