package main

// guide is what to try next. Its addresses are those of envoy.yaml.
const guide = `
Envoy serves payments and catalog on 127.0.0.1:10000, a circuit breaker before each. Their requests are logged here.
In another terminal:

  # 1. Healthy. Each answer has the upstream's own count of requests.
  curl -i 127.0.0.1:10000/payments

  # 2. Open. Payments fails; after 10 requests in 10 s, half of them failed, the breaker opens: 500 turns into 503.
  curl -X POST 127.0.0.1:8081/fail
  for i in $(seq 20); do curl -s -o /dev/null -w '%{http_code} ' 127.0.0.1:10000/payments; done; echo

  # 3. Rejected, by Envoy itself: payments sees nothing. Catalog is served all the while.
  curl -i 127.0.0.1:10000/payments
  curl -i 127.0.0.1:10000/catalog

  # 4. Recovered. Once the breaker's time is over, three trial requests that succeed close it.
  curl -X POST 127.0.0.1:8081/recover
  for i in $(seq 20); do curl -s -o /dev/null -w '%{http_code} ' 127.0.0.1:10000/payments; sleep 0.5; done; echo

  # 5. Fallback. Catalog's breaker does not reject: once it is open, Envoy answers with yesterday's catalog.
  curl -X POST 127.0.0.1:8082/fail
  for i in $(seq 20); do curl -s 127.0.0.1:10000/catalog; done
  curl -X POST 127.0.0.1:8082/recover

  # The status page. In a browser it refreshes itself: http://127.0.0.1:9902/circuit-breakers
  curl -s -H 'accept: application/json' 127.0.0.1:9902/circuit-breakers

  # The breakers' numbers. In state, 0 is closed, 1 open, 2 half-open.
  curl -s '127.0.0.1:9901/stats?usedonly&filter=wasmcustom'

An upstream that hangs: POST to /hang in place of /fail. Ctrl-C stops everything.

`
