-- Connections of the core that Relay does not have, and why.
select i.provider, i.status, count(*) as connections,
       case when i.status = 'disconnected' then 'removed before: nothing to do'
            when i.installation_id is null then 'never whole: connect it again'
            when i.provider in ('email', 'pagerduty') then 'Relay has no such provider'
            when exists (
                select from relay.organization_integrations r
                where (r.organization_id, r.provider, r.installation_id)
                    = (i.organization_id, i.provider, i.installation_id)
            ) then 'Relay has this account under another id: point to that one'
            else 'not adopted yet' end as why
from public.organization_integrations i
where not exists (select from relay.organization_integrations r where r.id = i.id)
group by i.provider, i.status, why order by i.provider, i.status;
