// Stations of 802.11p around one receiver, in ns-3: what benchmarks/ns3_peer.py compiles and runs beside our own model.
//
// Ad hoc stations without QoS, a metre from the receiver, on a channel of 10 MHz at one constant rate. Either every sender
// always has something to send (`saturation`: prints the goodput at the receiver in bit/s), or all hand over a message at
// one instant every 100 ms (`frames`: prints a line with the seconds that each message took until its last byte was there).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "ns3/boolean.h"
#include "ns3/config.h"
#include "ns3/mobility-helper.h"
#include "ns3/node-container.h"
#include "ns3/packet-socket-address.h"
#include "ns3/packet-socket-factory.h"
#include "ns3/packet-socket-helper.h"
#include "ns3/packet.h"
#include "ns3/position-allocator.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/socket.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"
#include "ns3/wifi-helper.h"
#include "ns3/yans-wifi-helper.h"

using namespace ns3;

namespace {

constexpr double kPeriod = 0.1;
constexpr double kWarm = 0.5;

struct Study {
    bool frames;
    uint32_t senders;
    uint32_t payload;  // of a fragment
    uint64_t message;  // bytes of a message
    uint32_t count;    // messages of each sender
    double seconds;
    std::vector<Ptr<Socket>> sockets;
    std::map<Address, uint32_t> sender_of;
    std::vector<uint64_t> received;
    std::vector<uint32_t> complete;
    uint64_t counted = 0;

    void Send(uint32_t sender, uint32_t bytes) { sockets[sender]->Send(Create<Packet>(bytes)); }

    void HandOver(uint32_t sender) {
        for (uint64_t left = message; left > 0;) {
            const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(left, payload));
            Send(sender, bytes);
            left -= bytes;
        }
    }

    void Receive(Ptr<Socket> socket) {
        Address from;
        while (Ptr<Packet> packet = socket->RecvFrom(from)) {
            const double now = Simulator::Now().GetSeconds();
            const uint32_t sender = sender_of.at(PacketSocketAddress::ConvertFrom(from).GetPhysicalAddress());
            if (!frames) {
                if (now >= kWarm) counted += packet->GetSize();
                Send(sender, payload);
                continue;
            }
            received[sender] += packet->GetSize();
            if (received[sender] == message * (complete[sender] + 1)) {
                std::cout << now - kPeriod * (complete[sender] + 1) << "\n";
                ++complete[sender];
            }
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        std::cerr << "usage: ns3_stations saturation|frames SENDERS RATE ACK_RATE MESSAGE_BYTES SECONDS|MESSAGES SEED\n";
        return 2;
    }
    const std::string rate = argv[3];
    const std::string ack_rate = argv[4];
    Study study{std::string(argv[1]) == "frames",
                static_cast<uint32_t>(std::stoul(argv[2])),
                1500,
                std::stoull(argv[5]),
                static_cast<uint32_t>(std::stoul(argv[6])),
                std::stod(argv[6]),
                {},
                {},
                {},
                {}};
    RngSeedManager::SetRun(std::stoull(argv[7]));
    Config::SetDefault("ns3::WifiMac::FrameRetryLimit", UintegerValue(65535));
    Config::SetDefault("ns3::WifiMacQueue::MaxSize", StringValue("1000000p"));
    Config::SetDefault("ns3::WifiMacQueue::MaxDelay", StringValue("100000s"));

    NodeContainer nodes;
    nodes.Create(study.senders + 1);
    WifiHelper wifi;
    wifi.SetStandard(WIFI_STANDARD_80211p);
    wifi.SetRemoteStationManager("ns3::ConstantRateWifiManager",
                                 "DataMode", StringValue("OfdmRate" + rate + "MbpsBW10MHz"),
                                 "ControlMode", StringValue("OfdmRate" + ack_rate + "MbpsBW10MHz"));
    YansWifiChannelHelper channel;
    channel.SetPropagationDelay("ns3::ConstantSpeedPropagationDelayModel");
    channel.AddPropagationLoss("ns3::LogDistancePropagationLossModel");
    YansWifiPhyHelper phy;
    phy.SetChannel(channel.Create());
    phy.Set("ChannelSettings", StringValue("{0, 10, BAND_5GHZ, 0}"));
    WifiMacHelper mac;
    mac.SetType("ns3::AdhocWifiMac", "QosSupported", BooleanValue(false));
    NetDeviceContainer devices = wifi.Install(phy, mac, nodes);

    auto places = CreateObject<ListPositionAllocator>();
    places->Add(Vector(0, 0, 0));
    for (uint32_t n = 0; n < study.senders; ++n) {
        const double angle = 2 * M_PI * n / study.senders;
        places->Add(Vector(std::cos(angle), std::sin(angle), 0));
    }
    MobilityHelper mobility;
    mobility.SetPositionAllocator(places);
    mobility.SetMobilityModel("ns3::ConstantPositionMobilityModel");
    mobility.Install(nodes);
    PacketSocketHelper().Install(nodes);

    PacketSocketAddress own;
    own.SetSingleDevice(devices.Get(0)->GetIfIndex());
    own.SetProtocol(1);
    Ptr<Socket> sink = Socket::CreateSocket(nodes.Get(0), PacketSocketFactory::GetTypeId());
    sink->Bind(own);
    sink->SetRecvCallback(MakeCallback(&Study::Receive, &study));
    study.received.assign(study.senders, 0);
    study.complete.assign(study.senders, 0);
    for (uint32_t n = 0; n < study.senders; ++n) {
        PacketSocketAddress to;
        to.SetSingleDevice(devices.Get(n + 1)->GetIfIndex());
        to.SetPhysicalAddress(devices.Get(0)->GetAddress());
        to.SetProtocol(1);
        Ptr<Socket> socket = Socket::CreateSocket(nodes.Get(n + 1), PacketSocketFactory::GetTypeId());
        socket->Bind(to);
        socket->Connect(to);
        study.sockets.push_back(socket);
        study.sender_of[devices.Get(n + 1)->GetAddress()] = n;
    }
    double end = study.seconds + kWarm;
    if (study.frames) {
        end = kPeriod * (study.count + 20);
        for (uint32_t k = 1; k <= study.count; ++k) {
            for (uint32_t n = 0; n < study.senders; ++n) {
                Simulator::Schedule(Seconds(kPeriod * k), &Study::HandOver, &study, n);
            }
        }
    } else {
        for (uint32_t n = 0; n < study.senders; ++n) {
            for (int ahead = 0; ahead < 4; ++ahead) Simulator::Schedule(Seconds(0.01), &Study::Send, &study, n, study.payload);
        }
    }
    Simulator::Stop(Seconds(end));
    std::cout.precision(9);
    Simulator::Run();
    if (!study.frames) std::cout << 8 * study.counted / study.seconds << "\n";
    Simulator::Destroy();
    return 0;
}
