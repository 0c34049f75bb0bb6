# Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX.
require 'fileutils'
require 'json'
require 'openssl'
require 'securerandom'
require 'webrick' # gem install webrick

SECRETS = ENV.fetch('DEPTEX_SECRETS').split # two of them while you change over
INBOX = ENV.fetch('INBOX', 'inbox')
SECONDS_MAX = 5 * 60 # between our clock and theirs
BYTES_MAX = 1024 * 1024

# Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now.
def signed_now(request, body)
  id, sent_at = request['webhook-id'].to_s, request['webhook-timestamp'].to_s
  return unless sent_at.match?(/\A[0-9]{1,12}\z/) && (Time.now.to_i - sent_at.to_i).abs <= SECONDS_MAX

  given = request['webhook-signature'].to_s.split(' ')
  SECRETS.each do |secret|
    key = secret.delete_prefix('whsec_').unpack1('m')
    expected = 'v1,' + [OpenSSL::HMAC.digest('SHA256', key, "#{id}.#{sent_at}.".b + body)].pack('m0')
    return id if given.any? { |one| OpenSSL.secure_compare(one, expected) }
  end
  nil
end

# X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known.
def signed(request, body)
  given = request['x-deptex-signature'].to_s
  SECRETS.each do |secret|
    expected = 'sha256=' + OpenSSL::HMAC.hexdigest('SHA256', secret, body)
    return JSON.parse(body).fetch('delivery_id', 'test') if OpenSSL.secure_compare(given, expected)
  end
  nil
end

# Whole or not at all, and under its id: one that is there already stays as it is.
def keep(id, body)
  name = "#{INBOX}/.#{SecureRandom.uuid}"
  File.open(name, 'wbx') { |file| file.write(body) && file.fsync }
  File.link(name, "#{INBOX}/#{id}.json")
rescue Errno::EEXIST
  nil
ensure
  FileUtils.rm_f(name)
end

def receive(request)
  verify = { '/webhooks' => :signed_now, '/webhooks/simple' => :signed }[request.path]
  return 404 unless verify && request.request_method == 'POST'
  return 413 unless request['content-length'].to_i <= BYTES_MAX

  body = request.body.to_s.b # the bytes as they came: nothing is parsed yet
  id = send(verify, request, body)
  return 401 unless id&.match?(/\A[0-9A-Za-z_-]{1,64}\z/)

  keep(id, body)
  204
end

FileUtils.mkdir_p(INBOX)
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: ENV.fetch('PORT', '8080').to_i, AccessLog: [])
server.mount_proc('/') { |request, response| response.status = receive(request) } # what raises is answered 500
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
server.start
