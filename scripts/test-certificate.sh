#!/bin/sh
# Makes an authority and a certificate for two days, for the other scripts: ca.pem, chain.pem and key.pem.
#
#   scripts/test-certificate.sh FOLDER SUBJECT_ALT_NAME     (as in IP:127.0.0.1,DNS:localhost)
set -eu
folder=$1
key() { openssl req "$@" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes 2>/dev/null; }

key -x509 -days 2 -subj "/CN=authority" -keyout "$folder/ca-key.pem" -out "$folder/ca.pem"
key -subj "/CN=voice" -keyout "$folder/key.pem" -out "$folder/request.pem"
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" >"$folder/extensions"
openssl x509 -req -days 2 -in "$folder/request.pem" -CA "$folder/ca.pem" -CAkey "$folder/ca-key.pem" \
    -CAcreateserial -extfile "$folder/extensions" -out "$folder/chain.pem" 2>/dev/null
cat "$folder/ca.pem" >>"$folder/chain.pem"
rm -f "$folder/ca-key.pem" "$folder/request.pem" "$folder/extensions" "$folder/ca.srl"
